"""A cluster of somebody else's, reached through the kubeconfig that the user names."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from tools.localcluster.command import run
from tools.localcluster.errors import ClusterError
from tools.localcluster.fixednodes import FixedNodes
from tools.localcluster.kubeconfig import current_context


def kubectl() -> str:
    """Find kubectl: beside this Python, where the development requirements put it, else on PATH."""
    beside = Path(sys.executable).with_name("kubectl")
    found = str(beside) if beside.exists() else shutil.which("kubectl")
    if found is None:
        raise ClusterError(
            "kubectl is not installed: it comes with the development packages in locks/dev.txt."
        )
    return found


class External(FixedNodes):
    """The cluster that a kubeconfig's current context names. It is used, never started or removed.

    Args:
        kubeconfig: the user's file.
        registry: where our images can be pushed so that its nodes can pull them; None takes $REGISTRY.
        say: gets each line of progress.
    """

    description = "the cluster of your kubeconfig"
    is_ours = False

    def __init__(
        self, kubeconfig: Path, *, registry: str | None = None, say: Callable[[str], None] = print
    ) -> None:
        self.kubeconfig = kubeconfig.absolute()
        self._registry = registry or os.environ.get("REGISTRY")
        self._say = say

    @property
    def registry(self) -> str:
        """The registry that the user named; ClusterError when there is none."""
        if not self._registry:
            raise ClusterError(
                "The nodes of this cluster must pull our images from a registry: name one that you may push "
                "to and they may pull from, REGISTRY=registry.example.com/team."
            )
        return self._registry

    def up(self) -> None:
        """Check that the cluster answers."""
        context = current_context(self.kubeconfig)
        try:
            place = ("--kubeconfig", str(self.kubeconfig), "--request-timeout", "10s")
            version = run(kubectl(), *place, "get", "--raw", "/version", timeout_s=20)
        except ClusterError as error:
            raise ClusterError(
                f"The cluster of context {context} in {self.kubeconfig} does not answer. {error}\n"
                "Check it with kubectl cluster-info, or leave KUBECONFIG out to get a local cluster."
            ) from None
        self._say(f"Using the cluster of context {context}: {' '.join(version.split())}")

    def down(self) -> None:
        """Leave the cluster alone: it is not ours."""
        self._say("The cluster is yours: it stays.")

    def load_image(self, reference: str, archive: Path | None = None) -> None:
        """Leave an image of the user's registry to the nodes, which pull it; refuse any other."""
        if archive is not None or not reference.startswith(f"{self.registry}/"):
            raise ClusterError(
                f"{reference} cannot be copied into the nodes of {self.description}: "
                f"push it to {self.registry}, from where they pull it."
            )
