"""kind: a cluster in Docker containers, for machines where Docker runs.

Written after kind's own documentation. It has not been run yet: the machines on which this project
is tested have no Docker. Whoever runs it first, please correct this sentence.
"""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from tools.localcluster.command import run
from tools.localcluster.errors import ClusterError
from tools.localcluster.fixednodes import FixedNodes
from tools.localcluster.paths import CHECKOUT_KUBECONFIG

NAME = "kaito"
CONTEXT = f"kind-{NAME}"
CREATE_TIMEOUT_S = 600.0


def docker_works() -> bool:
    """Say whether a Docker daemon answers."""
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0


class Kind(FixedNodes):
    """The kind cluster named ``kaito``.

    Args:
        kubeconfig: where to write its kubeconfig.
        say: gets each line of progress.
    """

    description = "a kind cluster"
    is_ours = True
    registry = "localhost:5000"  # a name only: images are copied into the nodes, nothing is pulled

    def __init__(self, *, kubeconfig: Path = CHECKOUT_KUBECONFIG, say: Callable[[str], None] = print) -> None:
        self.kubeconfig = kubeconfig.absolute()
        self._say = say

    def up(self) -> None:
        """Create the cluster unless it exists, and write its kubeconfig."""
        if shutil.which("kind") is None:
            raise ClusterError("kind is not installed. Run: go install sigs.k8s.io/kind@v0.31.0")
        self.kubeconfig.parent.mkdir(parents=True, exist_ok=True)
        if NAME in run("kind", "get", "clusters").split():
            run("kind", "export", "kubeconfig", "--name", NAME, "--kubeconfig", str(self.kubeconfig))
            self._say(f"The kind cluster {NAME} is there already.")
            return
        self._say(f"Creating the kind cluster {NAME}: one to three minutes.")
        place = ("--name", NAME, "--kubeconfig", str(self.kubeconfig))
        run("kind", "create", "cluster", *place, "--wait", "5m", timeout_s=CREATE_TIMEOUT_S)

    def down(self) -> None:
        """Delete the cluster."""
        run("kind", "delete", "cluster", "--name", NAME, "--kubeconfig", str(self.kubeconfig), timeout_s=120)

    def load_image(self, reference: str, archive: Path | None = None) -> None:
        """Copy an image into the nodes, from an archive or from Docker's own store."""
        source = ("image-archive", str(archive)) if archive else ("docker-image", reference)
        run("kind", "load", *source, "--name", NAME, timeout_s=CREATE_TIMEOUT_S)
