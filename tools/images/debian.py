"""What is asked of a Debian machine: programs that are missing, and where its archive is."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from tools.images.errors import NoBaseImageError, ToolMissingError
from tools.images.steps import Report, answer, run_logged, step


def ensure_programs(packages: Mapping[str, str], report: Report, cache: Path) -> None:
    """Install the Debian packages of programs that are missing, after saying so.

    Args:
        packages: program -> the Debian package that brings it.
        report: where it is said.
        cache: the log lies in its folder logs.

    Raises:
        ToolMissingError: this is not root on Debian; the text is the command that brings them.
    """
    missing = sorted({package for program, package in packages.items() if shutil.which(program) is None})
    if not missing:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise ToolMissingError(
            f"{', '.join(missing)} is missing. As root: apt-get install {' '.join(missing)}. Or start docker."
        )
    log = cache / "logs" / "apt.log"
    with step(report, f"installing the Debian packages {', '.join(missing)}"):
        run_logged(["apt-get", "update"], log)
        run_logged(
            ["apt-get", "install", "--yes", "--no-install-recommends", *missing],
            log,
            env={"DEBIAN_FRONTEND": "noninteractive"},
        )


def archive_mirror() -> str:
    """Give the address of the Debian archive that this machine's own apt uses.

    Raises:
        NoBaseImageError: apt has none, so no Debian base can be made here.
    """
    listing = answer(
        ["apt-get", "indextargets", "--format", "$(ORIGIN) $(RELEASE) $(REPO_URI)", "Created-By: Packages"]
    )
    mirror = choose_mirror(listing or "")
    if mirror is None:
        raise NoBaseImageError(
            "No base image: the public one is out of reach, and this machine's apt knows no Debian archive "
            "to make one from. Name an image that the builder has: --base-image REFERENCE."
        )
    return mirror


def choose_mirror(listing: str) -> str | None:
    """Choose the archive's main repository from lines of origin, suite and address.

    Security and update repositories, told by their suite's suffix, hold no whole system.
    """
    for line in listing.splitlines():
        origin, suite, address = (*line.split(), "", "", "")[:3]
        if origin == "Debian" and "-" not in suite:
            return address
    return None
