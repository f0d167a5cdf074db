"""`python -m tools.demo up`: cluster, images, operator, a Workspace, an answer. `down` removes it."""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import yaml
from rich.console import Console

from tools.demo.progress import NotReady, Progress, timeline, wait_ready
from tools.demo.question import Client, NoAnswer
from tools.images.build import build_all
from tools.images.errors import ImageError
from tools.install import Images, install, uninstall
from tools.kubectl import Kubectl, KubectlError
from tools.localcluster import AnyCluster, ClusterError, find_cluster
from tools.localcluster.kind import Kind

CHECKOUT = Path(__file__).resolve().parents[2]
EXAMPLE = CHECKOUT / "examples" / "inference" / "kaito_workspace_smollm2.yaml"
QUESTION = "What is the capital of France?"
IMAGES = ("operator", "inference-cpu", "weights-smollm2")
READY_TIMEOUT_S = 300.0

console = Console(highlight=False, soft_wrap=True)


def main() -> int:
    """Exit codes: 0 done, 1 a step failed and its cause was printed, 130 interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tools.demo", description=__doc__)
    parser.add_argument("what", choices=["up", "down"])
    what = parser.parse_args().what
    try:
        return up() if what == "up" else down()
    except (ClusterError, ImageError, KubectlError, NotReady, NoAnswer) as error:
        console.print(f"[red]demo:[/red] {error}")
        console.print("demo: correct it and run `make demo` again; what is done already is not done twice")
        return 1
    except KeyboardInterrupt:
        console.print("demo: interrupted; `make demo` goes on from here, `make demo-down` removes all of it")
        return 130


def report(line: str) -> None:
    """One line of a step's progress."""
    console.print(f"  {line}", markup=False)


@contextmanager
def _step(title: str) -> Iterator[None]:
    console.print(f"[bold]{title}[/bold]")
    began = monotonic()
    yield
    console.print(f"  [green]done[/green] in {monotonic() - began:.1f} s")


def up() -> int:
    """From nothing to an answer."""
    cluster = find_cluster(os.environ.get("KUBECONFIG"), say=report)
    with _step(f"1/5 The cluster: {cluster.description}"):
        cluster.up()
    kubectl = Kubectl(cluster.kubeconfig)
    registry = cluster.registry
    with _step("2/5 The images: operator, inference server, weights of SmolLM2"):
        # kind copies images out of docker's own store; the others pull them from the registry.
        images = build_all(registry, IMAGES, report, push=not isinstance(cluster, Kind))
        for reference in images.values():
            cluster.load_image(reference)
    with _step("3/5 The operator"):
        chosen = Images(images["operator"], images["inference-cpu"], registry)
        install(kubectl, chosen)
    name = yaml.safe_load(EXAMPLE.read_text())["metadata"]["name"]
    console.print(f"[bold]4/5 kubectl apply -f {EXAMPLE.relative_to(CHECKOUT)}[/bold]")
    progress = Progress(name, began=monotonic())
    is_new = "unchanged" not in kubectl.run("apply", "-f", str(EXAMPLE))
    wait_ready(kubectl, progress, console, timeout_s=READY_TIMEOUT_S)
    console.print(kubectl.run("get", "workspace", name).rstrip(), markup=False)
    console.print(f"[bold]5/5 A pod POSTs to http://{name}/chat: {QUESTION}[/bold]")
    answer = Client(kubectl, images["operator"]).ask(name, QUESTION)
    if is_new:
        console.print(timeline(progress, monotonic() - progress.began))
    _look_around(cluster, name)
    print(f"answer: {' '.join(answer.split())}")
    return 0


def _look_around(cluster: AnyCluster, name: str) -> None:
    kubeconfig = os.path.relpath(cluster.kubeconfig)
    kubectl = f".venv/bin/kubectl --kubeconfig {kubeconfig}"
    console.print(
        "The cluster stays up. Look around:",
        f"  {kubectl} describe workspace {name}",
        f"  {kubectl} get pods,services -o wide",
        f"  {kubectl} port-forward service/{name} 8080:80",
        "  curl -s localhost:8080/chat -H 'Content-Type: application/json' "
        '-d \'{"prompt": "Who are you?"}\'',
        f"  {kubectl} apply -f examples/inference/kaito_workspace_phi_3.yaml  # says what it lacks",
        "  make demo-down  # removes all of it",
        sep="\n",
        markup=False,
    )


def down() -> int:
    """Remove what `up` made; on a cluster of the user's only the operator and the Workspace."""
    cluster = find_cluster(os.environ.get("KUBECONFIG"), say=report)
    if cluster.is_ours:
        with _step(f"Removing {cluster.description}"):
            cluster.down()
        return 0
    kubectl = Kubectl(cluster.kubeconfig)
    with _step("Removing the Workspace and the operator; the cluster is yours and stays"):
        kubectl.run("delete", "-f", str(EXAMPLE), "--ignore-not-found", "--wait=true")
        uninstall(kubectl)
    # Not removed: with the definition every Workspace of the cluster would go.
    console.print("The definition of Workspaces stays; `kubectl delete crd workspaces.kaito.sh` removes it,")
    console.print("and with it every Workspace of this cluster.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
