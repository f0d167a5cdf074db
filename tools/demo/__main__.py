"""`python -m tools.demo up`: from nothing to a model's answer, on a node added for it. `down` removes it."""

import argparse
import os
import sys

from rich.console import Console

from tools.demo import added_nodes, cloud, existing_nodes
from tools.demo.progress import NotReady
from tools.demo.question import NoAnswer
from tools.demo.scene import LeftBehind
from tools.demo.steps import EXISTING_EXAMPLE, Stage
from tools.images.errors import ImageError
from tools.install import uninstall
from tools.kubectl import Kubectl, KubectlError
from tools.localcluster import ClusterError, find_cluster

FAILURES = (ClusterError, ImageError, KubectlError, NotReady, NoAnswer, LeftBehind, cloud.CloudError)

console = Console(highlight=False, soft_wrap=True)


def main() -> int:
    """Exit codes: 0 done, 1 a step failed and its cause was printed, 130 interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tools.demo", description=__doc__)
    parser.add_argument("what", choices=["up", "down"])
    what = parser.parse_args().what
    try:
        return up() if what == "up" else down()
    except (
        ClusterError,
        ImageError,
        KubectlError,
        NotReady,
        NoAnswer,
        LeftBehind,
        cloud.CloudError,
    ) as error:
        console.print(f"[red]demo:[/red] {error}")
        console.print("demo: correct it and run `make demo` again; what is done already is not done twice")
        return 1
    except KeyboardInterrupt:
        console.print("demo: interrupted; `make demo` goes on from here, `make demo-down` removes all of it")
        return 130


def up() -> int:
    """From nothing to an answer: with a node of its own on our cluster, on a node that exists on others'."""
    stage = Stage(find_cluster(os.environ.get("KUBECONFIG"), say=_report), console)
    answer = added_nodes.play(stage) if stage.is_local else existing_nodes.play(stage)
    print(f"answer: {' '.join(answer.split())}")
    return 0


def down() -> int:
    """Remove what `up` made; on a cluster of the user's only the operator and the Workspace."""
    cluster = find_cluster(os.environ.get("KUBECONFIG"), say=_report)
    stage = Stage(cluster, console)
    if cluster.is_ours:
        with stage.step(f"Removing {cluster.description}"):
            cloud.stop()
            cluster.down()
            cloud.forget()
        return 0
    kubectl = Kubectl(cluster.kubeconfig)
    with stage.step("Removing the Workspace and the operator; the cluster is yours and stays"):
        kubectl.run("delete", "-f", str(EXISTING_EXAMPLE), "--ignore-not-found", "--wait=true")
        uninstall(kubectl)
    # Not removed: with the definition every Workspace of the cluster would go.
    console.print("The definition of Workspaces stays; `kubectl delete crd workspaces.kaito.sh` removes it,")
    console.print("and with it every Workspace of this cluster.")
    return 0


def _report(line: str) -> None:
    console.print(f"  {line}", markup=False)


if __name__ == "__main__":
    sys.exit(main())
