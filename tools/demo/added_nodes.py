"""The demo on our own cluster: a Machine, an agent pool of a simulated Azure, a real node, and their end."""

import json
from time import monotonic

from tools.demo import scene
from tools.demo.cloud import DemoCloud
from tools.demo.progress import Progress, timeline
from tools.demo.steps import ADDED_EXAMPLE, CHECKOUT, QUESTION, Stage
from tools.deviceplugin import manifest
from tools.install import Images, install, install_provisioner

IMAGES = ("operator", "inference-cpu", "weights-smollm2", "device-plugin")


def play(stage: Stage) -> str:
    """From nothing to an answer, which is returned, and back to nothing."""
    with stage.step(f"1/6 The cluster: {stage.cluster.description}, and a simulated Azure beside it"):
        stage.cluster.up()
        access = DemoCloud(_node_address(stage)).start()
    with stage.step("2/6 The images: operator, inference server, weights of SmolLM2, device plugin"):
        images = stage.images(IMAGES)
    with stage.step("3/6 The operator, the gpu-provisioner, and a device plugin for simulated GPUs"):
        chosen = Images(images["operator"], images["inference-cpu"], stage.cluster.registry)
        install(stage.kubectl, chosen, provisioning="machine")
        install_provisioner(stage.kubectl, images["operator"], access)
        stage.kubectl.run("apply", "-f", "-", stdin=json.dumps(manifest(images["device-plugin"])))
    stage.console.print(f"[bold]4/6 kubectl apply -f {ADDED_EXAMPLE.relative_to(CHECKOUT)}[/bold]")
    name, progress, is_new = stage.serve(ADDED_EXAMPLE)
    stage.console.print(scene.table(scene.look(stage.kubectl, name)))
    stage.console.print(f"[bold]5/6 A pod POSTs to http://{name}/chat: {QUESTION}[/bold]")
    answer = stage.ask(name, images["operator"])
    stage.console.print(f"  {' '.join(answer.split())}", markup=False)
    if is_new:
        stage.console.print(timeline(progress, monotonic() - progress.began, goal="under 90 s"))
    _take_away(stage, name, progress)
    stage.look_around(
        f"KUBECTL apply -f {ADDED_EXAMPLE.relative_to(CHECKOUT)}",
        f"KUBECTL get workspace,machines,nodes; KUBECTL describe workspace {name}",
        f"KUBECTL port-forward service/{name} 8080:80",
        "curl -s localhost:8080/chat -H 'Content-Type: application/json' -d '{\"prompt\": \"Who are you?\"}'",
        f".venv/bin/kaito plan -f {ADDED_EXAMPLE.relative_to(CHECKOUT)}",
    )
    return answer


def _node_address(stage: Stage) -> str:
    """An address of this machine that pods reach: the first node's."""
    (node, *_) = stage.kubectl.get("nodes", "-l", "!kaito.sh/workspace")["items"]
    addresses = {entry["type"]: entry["address"] for entry in node["status"]["addresses"]}
    return str(addresses["InternalIP"])


def _take_away(stage: Stage, name: str, progress: Progress) -> None:
    with stage.step(f"6/6 kubectl delete workspace {name}: pod, node, agent pool and Machine go with it"):
        stage.kubectl.run("delete", "workspace", name, "--wait=true")
        gone = scene.wait_gone(stage.kubectl, name)
        stage.console.print(scene.table(scene.look(stage.kubectl, name)))
        stage.report(f"nothing is left after {gone:.0f} s; {progress.name} cost nothing more from then on")
