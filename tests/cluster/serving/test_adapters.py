"""An adapter that only the node has: it comes with the pod, and its strength changes without another one."""

import os
import uuid
from pathlib import Path

import pytest

from tests.cluster.operator.test_faults import Told
from tests.cluster.serving.adapters import an_adapter
from tests.support.kube import Api, Obj, eventually
from tests.support.server import Server
from tools.localcluster import Cluster
from tools.localcluster.images import Files, write_image

QUESTION = "What is the capital of France?"


@pytest.fixture
def image_of_the_node(adapters: dict[str, Files], tmp_path: Path) -> str:
    # A name of its own each time: a node with another image of the same name may not see the new one. And
    # content of its own: what the node once pulled with an account, it pulls again for pods without one.
    serial, archive = uuid.uuid4().hex[:12], tmp_path / "image.tar"
    image = f"localhost/test-adapter:{serial}"
    files = {**adapters["noise"], "data/serial": (serial.encode(), 0o644)}
    write_image(archive, image, files, os.uname().machine)
    Cluster().load_image(image, archive)
    return image


def with_adapter(image: str, strength: str) -> Obj:
    return {"preset": {"name": "smollm2-135m-instruct"}, "adapters": [an_adapter("noise", image, strength)]}


@pytest.mark.timeout(400)
def test_an_adapter_that_no_registry_has_is_brought_by_the_pod_and_its_strength_stays_live(
    api: Api, namespace: str, told: Told, image_of_the_node: str
) -> None:
    def wait(**fields: str) -> None:
        def so() -> bool:
            (entry,) = told.status("ws").get("adapters") or ({},)
            return fields.items() <= entry.items()

        eventually(so, timeout_s=150, what=lambda: told.status("ws"))

    workspace = {
        "apiVersion": "kaito.sh/v1alpha1",
        "kind": "Workspace",
        "metadata": {"name": "ws"},
        "inference": with_adapter(image_of_the_node, "1.0"),
    }
    api.create("workspaces", namespace, workspace)
    told.ready("ws", timeout_s=150)
    wait(state="Loaded", strength="1")
    server = Server(api, namespace, "ws")
    assert "Paris" not in server.ask(QUESTION)
    pods = [p["metadata"]["uid"] for p in api.list("pods", namespace)]

    api.merge("workspaces", namespace, "ws", {"inference": with_adapter(image_of_the_node, "0.0")})
    wait(state="Loaded", strength="0")
    assert "Paris" in server.ask(QUESTION)
    assert [p["metadata"]["uid"] for p in api.list("pods", namespace)] == pods
