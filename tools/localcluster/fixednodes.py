"""Clusters whose nodes are not ours to add or remove."""

from collections.abc import Mapping, Sequence

from tools.localcluster.errors import ClusterError
from tools.localcluster.nodespec import Taint

ADVICE = "Use the local cluster for that: python -m tools.localcluster up (Linux, as root)."


class FixedNodes:
    """Refuses to change nodes, with a sentence.

    Attributes:
        description: what the cluster is, in a few words.
    """

    description: str

    def add_node(
        self,
        name: str,
        *,
        labels: Mapping[str, str] | None = None,
        taints: Sequence[Taint] = (),
        gpus: int = 0,
        instance_type: str | None = None,
        pluggable_gpus: int = 0,
    ) -> None:
        """Refuse."""
        raise ClusterError(f"Node {name} cannot be added to {self.description}. {ADVICE}")

    def remove_node(self, name: str) -> None:
        """Refuse."""
        raise ClusterError(f"Node {name} cannot be removed from {self.description}. {ADVICE}")
