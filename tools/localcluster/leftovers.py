"""Files that nodes leave behind, in their own folders and in places that are compiled in."""

import shutil
from contextlib import suppress
from pathlib import Path

from tools.localcluster import mounts
from tools.localcluster.containerd import network_name
from tools.localcluster.kubelet import SHARED_LOG_LINKS
from tools.localcluster.paths import NodePaths
from tools.localcluster.probes import listens

SHIM_SOCKETS = Path("/run/containerd/s")  # compiled into the shim
CNI_RESULTS = Path("/var/lib/cni/results")  # compiled into the CNI library


def remove_node_files(name: str, node: NodePaths) -> None:
    """Remove the files of a node none of whose processes is left; the images of the first node stay."""
    mounts.unmount_below(node.run, node.state, node.images)
    for path in [*_dead_sockets(), *_log_links(node), *CNI_RESULTS.glob(f"{network_name(name)}-*")]:
        path.unlink(missing_ok=True)
    _prune(SHIM_SOCKETS, SHIM_SOCKETS.parent, SHARED_LOG_LINKS, CNI_RESULTS, CNI_RESULTS.parent)
    for folder in (node.run, node.state):
        shutil.rmtree(folder, ignore_errors=True)


def _dead_sockets() -> list[Path]:
    """List shims' sockets on which nobody listens; those of another containerd's live shims are not."""
    return [path for path in SHIM_SOCKETS.glob("*") if path.is_socket() and not listens(path)]


def _log_links(node: NodePaths) -> list[Path]:
    links = [path for path in SHARED_LOG_LINKS.glob("*") if path.is_symlink()]
    return [path for path in links if path.readlink().is_relative_to(node.pod_logs)]


def _prune(*folders: Path) -> None:
    """Remove folders that are empty now: another program's files in them keep them."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()
