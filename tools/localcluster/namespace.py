"""A mount namespace for each node, in which ``/var/lib/kubelet`` is the node's own folder.

Every kubelet has ``/var/lib/kubelet/device-plugins`` compiled in, and every manifest of a device plugin
names it: with one mount table for all, several kubelets of one machine would answer on the same socket.
The namespace is pinned by a file, so that it outlives its processes: whatever of the node is started
again enters the same one. Pods' volumes are mounted in it and nowhere else, and go with it.
"""

from tools.localcluster.command import run
from tools.localcluster.kubelet import SHARED_FOLDER
from tools.localcluster.mounts import MOUNTINFO, below, points
from tools.localcluster.paths import NodePaths, private_folder


def ensure(node: NodePaths) -> None:
    """Make a node's namespace, or what is missing of one whose making was interrupted.

    Args:
        node: its folders.

    Raises:
        ClusterError: the kernel refused one of the mounts.
    """
    _pin(node)
    inside = ("nsenter", f"--mount={node.namespace}", "--")
    # Shared among this namespace's own copies only, as on a machine of its own: storage drivers mount
    # volumes in a pod (mountPropagation: Bidirectional) and the kubelet has to see them.
    run(*inside, "mount", "--make-rshared", "/")
    SHARED_FOLDER.mkdir(mode=0o755, parents=True, exist_ok=True)
    private_folder(node.kubelet)
    if str(SHARED_FOLDER) not in points(run(*inside, "cat", str(MOUNTINFO))):
        run(*inside, "mount", "--bind", str(node.kubelet), str(SHARED_FOLDER))


def _pin(node: NodePaths) -> None:
    """Make the namespace and the file that keeps it, unless they are there."""
    private_folder(node.run)
    present = below([node.run], MOUNTINFO.read_text())
    if str(node.run) not in present:
        run("mount", "--bind", str(node.run), str(node.run))
    # The kernel pins a namespace only on a mount that nobody receives copies of.
    run("mount", "--make-private", str(node.run))
    if str(node.namespace) not in present:
        node.namespace.touch(mode=0o600)
        run("unshare", f"--mount={node.namespace}", "--propagation", "private", "--", "true")
