"""How VMs of the simulated cloud become nodes of a cluster."""

from typing import Protocol

from tools.simcloud.pool import Pool


class NodeBooter(Protocol):
    """Boots and removes nodes. Its methods may take seconds and are called in worker threads.

    Both have to be repeatable: a cloud that was restarted boots again what it had, and removes again what
    it was about to remove.

    Two more methods are used where a booter has them: ``kill(node_name)``, which ends a node's kubelet and
    leaves its Node object to the cluster to find out (without it, a node that dies is removed), and
    ``close()``, which ends the booter's threads and connections when the cloud goes; nodes stay.
    """

    def boot(self, pool: Pool, node_name: str, provider_id: str) -> None:
        """Make a node join the cluster, and return when it has.

        Args:
            pool: says its labels, taints and GPUs; a copy.
            node_name: of the Node object.
            provider_id: becomes its spec.providerID.
        """

    def remove(self, node_name: str) -> None:
        """Take a node and its Node object away; one that is gone is fine."""
