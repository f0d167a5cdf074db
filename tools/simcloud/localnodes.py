"""Real nodes: a kubelet and a containerd of the local cluster for each VM."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from tools.localcluster import Taint
from tools.localcluster.node import kubelet_daemon
from tools.localcluster.paths import Paths
from tools.localcluster.processes import Processes
from tools.simcloud.kubeapi import KubeApi
from tools.simcloud.pool import Pool


class NodeCluster(Protocol):
    """What is used of ``tools.localcluster.Cluster``; it lets one node boot after the other."""

    paths: Paths

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""

    def add_node(
        self,
        name: str,
        *,
        labels: Mapping[str, str] | None = None,
        taints: Sequence[Taint] = (),
        instance_type: str | None = None,
        pluggable_gpus: int = 0,
    ) -> None:
        """Boot one more node and wait until it is Ready."""

    def remove_node(self, name: str) -> None:
        """Take a node away."""


class LocalNodes:
    """Boots nodes in the local cluster.

    GPUs are not pretended by the node: as on Azure, ``nvidia.com/gpu`` appears when the pod of a device
    plugin registers it.

    Args:
        cluster: the running local cluster.
    """

    def __init__(self, cluster: NodeCluster) -> None:
        self._cluster = cluster

    def boot(self, pool: Pool, node_name: str, provider_id: str) -> None:
        """Boot a node with the pool's labels and taints, then give it its providerID."""
        self._cluster.add_node(
            node_name, labels=pool.labels(), taints=pool.taints(), pluggable_gpus=pool.gpus
        )
        # On Azure the cloud controller manager writes it; the API server takes it once, when it is empty.
        api = KubeApi(self._cluster.kubeconfig)
        try:
            api.merge(f"/api/v1/nodes/{node_name}", {"spec": {"providerID": provider_id}})
        finally:
            api.close()

    def remove(self, node_name: str) -> None:
        """Stop a node and remove it from the machine and from the API server."""
        if self._cluster.paths.record.exists():  # else it went with its cluster
            self._cluster.remove_node(node_name)

    def kill(self, node_name: str) -> None:
        """Stop its kubelet: the cluster calls it NotReady when it has not heard of it for a while."""
        paths = self._cluster.paths
        # What is there of the cluster's own means to stop one daemon; its repair starts it again.
        Processes(paths.processes, paths.logs).stop(kubelet_daemon(node_name))
