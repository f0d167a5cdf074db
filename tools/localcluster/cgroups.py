"""Control groups: every process of the cluster lives in one of ours, so that it can be found.

Daemons are in ``/kaito-local/daemons``; a node's containerd, whose shims inherit its group, in
``/kaito-local/runtimes/NAME``; the pods of a node in ``/kaito-local/nodes/NAME``, which is that
kubelet's cgroupRoot. Two kubelets with one cgroupRoot would kill each other's pods as orphans.

Both hierarchies are handled: v1 with a mount per controller, and v2 with one for all. The v2 branch
follows the kernel's documentation; this package has been run on v1 hosts only.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tools.localcluster.settings import NAME
from tools.localcluster.waiting import wait_until

ROOT = Path("/sys/fs/cgroup")
TREE = Path(NAME)
DAEMONS = TREE / "daemons"


def unified() -> bool:
    """Say whether this machine has one cgroup v2 hierarchy (its root names its controllers)."""
    return (ROOT / "cgroup.controllers").exists()


def hierarchies() -> list[Path]:
    """List the mount points in which a group must be created to exist everywhere."""
    if unified():
        return [ROOT]
    mounts = {path.resolve() for path in ROOT.iterdir() if path.is_dir()}
    return sorted(path for path in mounts if (path / "cgroup.procs").exists())


def runtime_group(name: str) -> Path:
    """Give the group of a node's containerd and its shims."""
    return TREE / "runtimes" / name


def node_group(name: str) -> Path:
    """Give the group that holds all pods of a node."""
    return TREE / "nodes" / name


def create(group: Path) -> None:
    """Create a group and its parents in every hierarchy; those that exist are left as they are."""
    for hierarchy in hierarchies():
        for level in reversed([group, *group.parents[:-1]]):
            folder = hierarchy / level
            folder.mkdir(exist_ok=True)
            _open_to_children(folder)


def _open_to_children(folder: Path) -> None:
    """Make a new group usable: v1 cpusets start empty, v2 controllers start disabled below a group."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        value = folder / name
        # On v2 an empty cpuset means the parent's; on v1 no process could join the group.
        if not unified() and value.exists() and not value.read_text().strip():
            value.write_text((folder.parent / name).read_text())
    # On v2 a group that passes controllers on may hold no process: the leaves with daemons pass none.
    if unified() and folder.name != DAEMONS.name and folder.parent.name != "runtimes":
        available = (folder / "cgroup.controllers").read_text().split()
        (folder / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in available))


def move(pid: int, group: Path) -> None:
    """Put a process into a group of the hierarchy that we search in; the group must exist."""
    (_searched() / group / "cgroup.procs").write_text(str(pid))


def _searched() -> Path:
    """Give the one hierarchy that holds all our processes: v2, else the pids controller's."""
    return ROOT if unified() else ROOT / "pids"


def members(group: Path) -> Iterator[int]:
    """Give the pids in a group and all groups below it."""
    for folder, _, _ in os.walk(_searched() / group):
        with suppress(OSError):  # the group may vanish while we read
            yield from map(int, (Path(folder) / "cgroup.procs").read_text().split())


def kill(group: Path, grace_s: float = 10) -> None:
    """End every process in a group by SIGKILL and wait until the kernel has let go of them."""

    def empty() -> bool:
        pids = list(members(group))
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)  # our own children stay members until they are reaped
        return not pids

    wait_until(empty, grace_s, f"the processes in cgroup {group} to end")


def remove(group: Path) -> None:
    """Remove a group, and all below it, from every hierarchy; there must be no process left in it."""
    for hierarchy in hierarchies():
        for folder, _, _ in os.walk(hierarchy / group, topdown=False):
            with suppress(FileNotFoundError):
                Path(folder).rmdir()
