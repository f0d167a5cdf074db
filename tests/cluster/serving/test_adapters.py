"""An adapter as an image, from the Workspace to a changed answer and back by its strength."""

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from tests.cluster.conftest import CHECKOUT
from tests.cluster.operator.test_faults import Told
from tests.support.kube import Api, Obj, eventually
from tools.demo.question import Client
from tools.kubectl import Kubectl
from tools.localcluster import Cluster
from tools.localcluster.images import write_image

QUESTION = "What is the capital of France?"
# A name of its own each time: a node that has another image of the same name may not see the new one.
IMAGE = f"localhost/test-adapter:{uuid.uuid4().hex[:12]}"
FILES = ("adapter_config.json", "adapter_model.safetensors")


@pytest.fixture(scope="module")
def adapter_image(testbed: Obj, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("adapter")
    base = Path(testbed["weights_folder"]) / "weights"
    command = [sys.executable, "-m", "tests.cluster.serving.make_adapter", str(base), str(folder)]
    subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True)
    files = {f"data/{name}": ((folder / name).read_bytes(), 0o644) for name in FILES}
    write_image(folder / "image.tar", IMAGE, files, os.uname().machine)
    Cluster().load_image(IMAGE, folder / "image.tar")
    return IMAGE


def with_adapter(image: str, strength: str) -> Obj:
    adapters = [{"source": {"name": "noise", "image": image}, "strength": strength}]
    return {"preset": {"name": "smollm2-135m-instruct"}, "adapters": adapters}


@pytest.mark.timeout(300)
def test_an_adapter_changes_the_answer_and_its_strength_changes_it_back(
    api: Api, namespace: str, told: Told, kubectl: Kubectl, testbed: Obj, adapter_image: str
) -> None:
    client = Client(kubectl, testbed["images"]["operator"], namespace)
    workspace = {
        "apiVersion": "kaito.sh/v1alpha1",
        "kind": "Workspace",
        "metadata": {"name": "ws"},
        "inference": with_adapter(adapter_image, "1.0"),
    }
    api.create("workspaces", namespace, workspace)
    told.ready("ws", timeout_s=120)
    assert "Paris" not in client.ask("ws", QUESTION)

    api.merge("workspaces", namespace, "ws", {"inference": with_adapter(adapter_image, "0.0")})
    generation = api.get("workspaces", namespace, "ws")["metadata"]["generation"]
    eventually(lambda: told.status("ws").get("observedGeneration") == generation, timeout_s=10)
    told.ready("ws", timeout_s=120)
    assert "Paris" in client.ask("ws", QUESTION)
