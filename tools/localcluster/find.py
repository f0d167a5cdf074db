"""Choose the cluster to work with."""

from collections.abc import Callable
from pathlib import Path

from tools.localcluster import kind
from tools.localcluster.cluster import Cluster
from tools.localcluster.external import External
from tools.localcluster.kubeconfig import current_context
from tools.localcluster.paths import CHECKOUT_KUBECONFIG
from tools.localcluster.protocol import AnyCluster
from tools.localcluster.settings import NAME


def find_cluster(kubeconfig: str | None, *, say: Callable[[str], None] = print) -> AnyCluster:
    """Choose a cluster without touching it.

    Args:
        kubeconfig: the file that the user names (KUBECONFIG), or None. One that this project wrote
            stands for the cluster it was written for, so that exporting it changes nothing.
        say: gets each line of progress.

    Returns:
        The user's cluster; else kind where Docker runs; else the local cluster.
    """
    path = Path(kubeconfig).expanduser().absolute() if kubeconfig else CHECKOUT_KUBECONFIG
    # Ours may be named by an exported KUBECONFIG after its cluster was removed.
    if not kubeconfig or (path == CHECKOUT_KUBECONFIG and not path.exists()):
        return kind.Kind(say=say) if kind.docker_works() else Cluster(say=say)
    match current_context(path):
        case context if context == NAME:
            return Cluster(kubeconfig=path, say=say)
        case context if context == kind.CONTEXT:
            return kind.Kind(kubeconfig=path, say=say)
        case _:
            return External(path, say=say)
