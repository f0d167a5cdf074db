"""What both ways through the demo have in common: timed steps, the cluster, a Workspace, a question."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import yaml
from rich.console import Console

from tools.demo.progress import Progress, wait_ready
from tools.demo.question import Client
from tools.images.build import build_all
from tools.kubectl import Kubectl
from tools.localcluster import AnyCluster, Cluster
from tools.localcluster.kind import Kind

CHECKOUT = Path(__file__).resolve().parents[2]
EXAMPLES = CHECKOUT / "examples" / "inference"
EXISTING_EXAMPLE = EXAMPLES / "kaito_workspace_smollm2.yaml"
ADDED_EXAMPLE = EXAMPLES / "kaito_workspace_smollm2_gpu.yaml"
QUESTION = "What is the capital of France?"
READY_TIMEOUT_S = 300.0


class Stage:
    """The cluster and the screen of one run."""

    def __init__(self, cluster: AnyCluster, console: Console) -> None:
        self.cluster = cluster
        self.console = console

    @property
    def is_local(self) -> bool:
        """True on the cluster of processes, the only one whose nodes are ours to add."""
        return isinstance(self.cluster, Cluster)

    @property
    def kubectl(self) -> Kubectl:
        """Of the cluster, once it is up."""
        return Kubectl(self.cluster.kubeconfig)

    def report(self, line: str) -> None:
        """One line of a step's progress."""
        self.console.print(f"  {line}", markup=False)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """A heading, and how long it took."""
        self.console.print(f"[bold]{title}[/bold]")
        began = monotonic()
        yield
        self.console.print(f"  [green]done[/green] in {monotonic() - began:.1f} s")

    def images(self, names: Sequence[str]) -> dict[str, str]:
        """Build what is not there, and bring it to the nodes. Name -> reference."""
        # kind copies images out of docker's own store; the others pull them from the registry.
        push = not isinstance(self.cluster, Kind)
        images = build_all(self.cluster.registry, names, self.report, push=push)
        for reference in images.values():
            self.cluster.load_image(reference)
        return images

    def serve(self, example: Path) -> tuple[str, Progress, bool]:
        """Apply a Workspace and draw its way until it is ready. (name, what was seen, whether it is new)."""
        name = yaml.safe_load(example.read_text())["metadata"]["name"]
        progress = Progress(name, began=monotonic())
        is_new = "unchanged" not in self.kubectl.run("apply", "-f", str(example))
        wait_ready(self.kubectl, progress, self.console, timeout_s=READY_TIMEOUT_S)
        self.console.print(self.kubectl.run("get", "workspace", name).rstrip(), markup=False)
        return name, progress, is_new

    def ask(self, name: str, image: str) -> str:
        """A pod's question to the Workspace's Service."""
        return Client(self.kubectl, image).ask(name, QUESTION)

    def look_around(self, *commands: str) -> None:
        """Say what can be tried now."""
        kubeconfig = os.path.relpath(self.cluster.kubeconfig)
        kubectl = f".venv/bin/kubectl --kubeconfig {kubeconfig}"
        lines = [f"  {command.replace('KUBECTL', kubectl)}" for command in commands]
        self.console.print(
            "The cluster stays up. Look around:",
            *lines,
            "  make demo-down  # removes all of it",
            sep="\n",
            markup=False,
        )
