"""The demo on a cluster whose nodes are not ours to add: the model runs on one that exists."""

from time import monotonic

from tools.demo.progress import timeline
from tools.demo.steps import CHECKOUT, EXISTING_EXAMPLE, QUESTION, Stage
from tools.install import Images, install

IMAGES = ("operator", "inference-cpu", "weights-smollm2")


def play(stage: Stage) -> str:
    """From nothing to an answer, which is returned."""
    with stage.step(f"1/5 The cluster: {stage.cluster.description}"):
        stage.cluster.up()
    with stage.step("2/5 The images: operator, inference server, weights of SmolLM2"):
        images = stage.images(IMAGES)
    with stage.step("3/5 The operator"):
        install(stage.kubectl, Images(images["operator"], images["inference-cpu"], stage.cluster.registry))
    stage.console.print(f"[bold]4/5 kubectl apply -f {EXISTING_EXAMPLE.relative_to(CHECKOUT)}[/bold]")
    name, progress, is_new = stage.serve(EXISTING_EXAMPLE)
    stage.console.print(f"[bold]5/5 A pod POSTs to http://{name}/chat: {QUESTION}[/bold]")
    answer = stage.ask(name, images["operator"])
    if is_new:
        stage.console.print(timeline(progress, monotonic() - progress.began, goal="under 20 s"))
    stage.look_around(
        f"KUBECTL describe workspace {name}",
        "KUBECTL get pods,services -o wide",
        f"KUBECTL port-forward service/{name} 8080:80",
        "curl -s localhost:8080/chat -H 'Content-Type: application/json' -d '{\"prompt\": \"Who are you?\"}'",
    )
    return answer
