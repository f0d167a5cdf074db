"""What the rest of the project needs from a cluster, whichever it is."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from tools.localcluster.nodespec import Taint


class AnyCluster(Protocol):
    """A Kubernetes cluster for the demo and for the tests."""

    @property
    def description(self) -> str:
        """What it is, in a few words for a heading."""

    @property
    def is_ours(self) -> bool:
        """True where ``down`` removes the cluster, False where it belongs to the user."""

    @property
    def kubeconfig(self) -> Path:
        """The file that kubectl needs; complete after ``up``."""

    @property
    def registry(self) -> str:
        """What references of our images begin with, such as ``localhost:5000``."""

    def up(self) -> None:
        """Start the cluster, or make sure that it is there."""

    def down(self) -> None:
        """Remove what ``up`` made."""

    def load_image(self, reference: str, archive: Path | None = None) -> None:
        """Bring an image to every node."""

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
        """Boot one more node."""

    def remove_node(self, name: str) -> None:
        """Take a node away."""
