"""Run short programs, and say what failed in one sentence."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tools.localcluster.errors import ClusterError


def run(*argv: str, given: str | None = None, tolerate: bool = False, timeout_s: float = 60) -> str:
    """Run a program to its end and give back its standard output.

    Args:
        argv: program and arguments; no shell is involved.
        given: text for its standard input.
        tolerate: True where failure means "there was nothing to do".
        timeout_s: after this the program is killed.

    Raises:
        ClusterError: it is missing, failed or took too long; with its own last words.
    """
    try:
        done = subprocess.run(
            argv, input=given, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except FileNotFoundError:
        raise ClusterError(
            f"{argv[0]} is not installed. Run: apt-get install {package_of(argv[0])}"
        ) from None
    except subprocess.TimeoutExpired:
        raise ClusterError(f"{sentence(argv)} did not end within {timeout_s:.0f} s.") from None
    if done.returncode and not tolerate:
        raise ClusterError(
            f"{sentence(argv)} failed with status {done.returncode}: {last_words(done.stderr or done.stdout)}"
        )
    return done.stdout


def sentence(argv: Sequence[str]) -> str:
    """Write a command so that a person recognises it: no folder before the program, long ones cut."""
    text = " ".join([Path(argv[0]).name, *argv[1:]])
    return text if len(text) <= 200 else f"{text[:200]}..."


def last_words(output: str) -> str:
    """Quote the last line of a program's complaints: the one that says why it gave up."""
    lines = output.strip().splitlines()
    return lines[-1][-500:] if lines else "it said nothing."


# Programs this package runs, and the Debian package that brings each.
DEBIAN_PACKAGES = {
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "iptables": "iptables",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "docker-registry": "docker-registry",
    "htpasswd": "apache2-utils",
}


def package_of(program: str) -> str:
    """Name the Debian package that brings a program."""
    return DEBIAN_PACKAGES.get(program, program)


def missing_packages() -> list[str]:
    """List the Debian packages whose programs are not on this machine."""
    return [package for program, package in DEBIAN_PACKAGES.items() if shutil.which(program) is None]
