"""The image that ours stand on: the public one, or a Debian made here where no registry is in reach."""

import hashlib
import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from tools.images.builders import Build, Builder
from tools.images.debian import archive_mirror, ensure_programs
from tools.images.errors import NoBaseImageError
from tools.images.recipes import CHECKOUT, TAG_DIGITS
from tools.images.steps import Report, run_logged, step

SUITE = "trixie"  # Debian 13, as the public base; its Python is the one that the images' locks are made for
PACKAGES = ("ca-certificates", "python3", "python3-venv")
# What debootstrap leaves and an image must not hold: package lists, and this machine's name and resolver.
LEFT_OUT = (
    "./var/cache/apt/*",
    "./var/lib/apt/lists/*",
    "./var/log/*",
    "./etc/hostname",
    "./etc/resolv.conf",
    "./dev/*",
    "./proc/*",
    "./sys/*",
    "./tmp/*",
)


@dataclass(frozen=True)
class Base:
    """A base image that the builder has.

    Attributes:
        reference: what a Dockerfile's FROM names.
        identity: changes with its content.
    """

    reference: str
    identity: str


def public_base(dockerfile: str) -> str:
    """Read the public base from a Dockerfile's text, where it is the default of BASE_IMAGE."""
    found = re.search(r"^ARG BASE_IMAGE=(\S+)$", dockerfile, flags=re.MULTILINE)
    if found is None:
        raise NoBaseImageError("The Dockerfile has no line ARG BASE_IMAGE=REFERENCE: restore it from git.")
    return found[1]


def find_base(builder: Builder, cache: Path, report: Report, named: str | None = None) -> Base:
    """Give the builder a base image: the named one, the public one, or one made by debootstrap.

    An image that the builder has already is used as it is, without asking a registry.

    Args:
        builder: keeps the image.
        cache: a base made here lies in its folder base.
        report: gets a line for each step.
        named: the only one to use; None tries the public one first.

    Raises:
        NoBaseImageError: the named image cannot be had; or there is none and none can be made here.
    """
    public = public_base((CHECKOUT / "Dockerfile.operator").read_text())
    reference = named or public
    if builder.image_id(reference) is None:
        with step(report, f"getting the base image {reference}"):
            pulled = builder.pull(reference, cache / "logs" / "base.log")
        if not pulled and named:
            raise NoBaseImageError(
                f"{named} is not known to {builder.name} and its registry does not answer: pull it first."
            )
        if not pulled:
            report("its registry is out of reach: a Debian made on this machine takes its place")
            return _debootstrapped(builder, cache, report)
    return Base(reference, builder.image_id(reference) or reference)


def _debootstrapped(builder: Builder, cache: Path, report: Report) -> Base:
    """Make the base from Debian's archive, once; later calls find it in the cache."""
    folder = cache / "base"
    archive, checksum = folder / "debootstrap.tar", folder / "debootstrap.tar.sha256"
    if not checksum.exists():
        _debootstrap(archive, cache, report)
        with archive.open("rb") as file:
            checksum.write_text(hashlib.file_digest(file, "sha256").hexdigest())
    identity = checksum.read_text()
    reference = f"localhost/kaito-base:{identity[:TAG_DIGITS]}"
    if builder.image_id(reference) is None:
        with step(report, f"making the base image {reference}"):
            dockerfile = Path(__file__).parent / "Dockerfile.base"
            builder.build(Build(reference, folder, dockerfile), cache / "logs" / "base.log")
    return Base(reference, identity)


def _debootstrap(archive: Path, cache: Path, report: Report) -> None:
    """Write a minimal Debian with Python to a tar archive."""
    if sys.platform != "linux" or os.geteuid() != 0:
        raise NoBaseImageError(
            "No base image: the public one is out of reach, and making one needs root on Linux. "
            "Name an image that the builder has: --base-image REFERENCE."
        )
    ensure_programs({"debootstrap": "debootstrap"}, report, cache)
    root, log = archive.parent / "root", cache / "logs" / "base.log"
    shutil.rmtree(root, ignore_errors=True)  # of a run that was interrupted
    root.mkdir(parents=True)
    with step(report, f"making a Debian {SUITE} with debootstrap"):
        # In a mount namespace of its own: an interrupted run leaves no /proc mounted below the cache.
        command = [
            "unshare",
            "--mount",
            "debootstrap",
            "--variant=minbase",
            f"--include={','.join(PACKAGES)}",
        ]
        run_logged([*command, SUITE, str(root), archive_mirror()], log)
        part = archive.with_suffix(".part")
        skipped = [f"--exclude={pattern}" for pattern in LEFT_OUT]
        run_logged(["tar", "--numeric-owner", *skipped, "-C", str(root), "-cf", str(part), "."], log)
        part.rename(archive)
        shutil.rmtree(root)
