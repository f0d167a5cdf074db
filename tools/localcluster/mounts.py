"""Mounts below the cluster's folders, and the way to be rid of them."""

import re
from collections.abc import Iterable
from pathlib import Path

from tools.localcluster.command import run

MOUNTINFO = Path("/proc/self/mountinfo")
MOUNTS_A_CALL = 200  # keeps the command line short of the kernel's limit


def below(folders: Iterable[Path], mountinfo: str) -> list[str]:
    """List mount points in these folders, the deepest first.

    Args:
        folders: absolute paths; one that is a mount point itself counts too.
        mountinfo: text of /proc/self/mountinfo, whose field 5 is the mount point, octal escapes in it.
    """
    prefixes = [str(folder) for folder in folders]
    ours = [
        p for p in points(mountinfo) if any(p == prefix or p.startswith(f"{prefix}/") for prefix in prefixes)
    ]
    # The kernel lists mounts in the order they were made; what came last lies on top.
    return ours[::-1]


def points(mountinfo: str) -> list[str]:
    """List all mount points of a mountinfo text, in the order they were made."""
    return [_unescaped(line.split()[4]) for line in mountinfo.splitlines()]


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def unmount_below(*folders: Path) -> None:
    """Unmount everything in these folders; what is still busy goes as soon as its last user does."""
    found = below(folders, MOUNTINFO.read_text())
    for start in range(0, len(found), MOUNTS_A_CALL):
        run("umount", "--lazy", "--", *found[start : start + MOUNTS_A_CALL])
