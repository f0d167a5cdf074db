"""Adapters of a server that runs: they come, change and go, and the pod stays.

One Workspace is served for all of it. Each test writes the adapters that it needs and waits until the
Workspace says that they are there.
"""

import base64
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.serving.adapters import Image, an_adapter, push_adapter
from tests.support.kube import Api, Obj, condition, eventually
from tests.support.operator import OperatorProcess
from tests.support.server import Server
from tools.localcluster.images import Files

QUESTION = "What is the capital of France?"
PRESET = {"name": "smollm2-135m-instruct"}
pytestmark = pytest.mark.timeout(400)


@dataclass(frozen=True)
class Live:
    """The Workspace `ws` with its server, and what the base model answers."""

    api: Api
    namespace: str
    server: Server
    base: str

    def workspace(self) -> Obj:
        return self.api.get("workspaces", self.namespace, "ws")

    def told(self) -> dict[str, Obj]:
        """status.adapters by name."""
        return {entry["name"]: entry for entry in self.workspace()["status"].get("adapters", ())}

    def use(self, *adapters: Obj) -> None:
        """Write inference.adapters."""
        wanted = {"inference": {"preset": PRESET, "adapters": list(adapters)}}
        self.api.merge("workspaces", self.namespace, "ws", wanted)

    def wait(self, name: str, *, timeout_s: float = 60, **fields: str) -> Obj:
        """Wait until status.adapters tells these fields of an adapter."""

        def is_told() -> Obj | None:
            entry = self.told().get(name, {})
            return entry if all(entry.get(key) == value for key, value in fields.items()) else None

        return eventually(is_told, timeout_s=timeout_s, what=self.told)

    def pod(self) -> Obj:
        """The only pod."""
        (pod,) = self.api.list("pods", self.namespace, labelSelector="kaito.sh/workspace=ws")
        return pod

    def life(self) -> tuple[str, list[int]]:
        """What changes when the pod is replaced or one of its containers starts again."""
        pod = self.pod()
        status = pod["status"]
        containers = [*status["containerStatuses"], *status.get("initContainerStatuses", ())]
        return pod["metadata"]["uid"], [container["restartCount"] for container in containers]

    def events(self, reason: str) -> list[Obj]:
        found = self.api.list("events", self.namespace)
        return [e for e in found if e["reason"] == reason and e["involvedObject"]["kind"] == "Workspace"]


@pytest.fixture(scope="module")
def images(testbed: Obj, adapters: dict[str, Files]) -> dict[str, Image]:
    return {name: push_adapter(testbed, name, files) for name, files in adapters.items()}


@pytest.fixture(scope="module")
def live(
    api: Api, kubeconfig: Path, testbed: Obj, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    namespace, log = f"test-live-{uuid.uuid4().hex[:8]}", tmp_path_factory.mktemp("operator") / "log"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    api.create("namespaces", None, {"metadata": {"name": namespace, "labels": labels}})
    operator = OperatorProcess(
        kubeconfig,
        log,
        namespace,
        KAITO_RUNTIME_IMAGE=testbed["images"]["inference-cpu"],
        KAITO_PROJECT_REGISTRY=testbed["registry"],
        KAITO_INSECURE_REGISTRIES=f"{testbed['registry_for_pods']},{testbed['private_registry_for_pods']}",
    )
    with operator:
        workspace = {
            "apiVersion": "kaito.sh/v1alpha1",
            "kind": "Workspace",
            "metadata": {"name": "ws"},
            "inference": {"preset": PRESET},
        }
        api.create("workspaces", namespace, workspace)
        eventually(
            lambda: _is_ready(api.get("workspaces", namespace, "ws")), timeout_s=150, what=operator.words
        )
        server = Server(api, namespace, "ws")
        yield Live(api, namespace, server, server.ask(QUESTION))
        api.delete("workspaces", namespace, "ws")
    api.delete("namespaces", None, namespace)
    assert "Traceback" not in log.read_text()


def _is_ready(workspace: Obj) -> bool:
    return condition(workspace, "WorkspaceReady").get("status") == "True"


def test_an_adapter_comes_into_a_server_that_runs(live: Live, images: dict[str, Image]) -> None:
    live.use()
    eventually(lambda: not live.told(), what=live.told)
    before = live.life()
    assert "Paris" in live.base
    live.use(an_adapter("noise", images["noise"].reference))
    live.wait("noise", state="Loaded", digest=images["noise"].digest, strength="1")
    assert live.server.ask(QUESTION) != live.base
    assert live.server.ask(QUESTION, model="noise") == live.server.ask(QUESTION)
    assert live.server.ask(QUESTION, model="ws:base") == live.base
    models = live.server.models()
    assert list(models) == ["ws", "ws:base", "noise"]
    assert models["noise"]["parent"] == "ws:base"
    assert live.life() == before


def test_strength_0_gives_the_base_models_answer(live: Live, images: dict[str, Image]) -> None:
    live.use(an_adapter("noise", images["noise"].reference))
    live.wait("noise", state="Loaded", strength="1")
    before = live.life()
    live.use(an_adapter("noise", images["noise"].reference, "0"))
    live.wait("noise", state="Loaded", strength="0")
    assert live.server.ask(QUESTION) == live.base
    assert live.life() == before


def test_another_image_takes_the_place_of_the_first(live: Live, images: dict[str, Image]) -> None:
    live.use(an_adapter("mine", images["noise"].reference))
    live.wait("mine", state="Loaded", digest=images["noise"].digest)
    before, first = live.life(), live.server.ask(QUESTION)
    live.use(an_adapter("mine", images["other"].reference))
    live.wait("mine", state="Loaded", digest=images["other"].digest)
    assert live.server.ask(QUESTION) not in (first, live.base)
    assert live.life() == before


def test_a_removed_adapter_leaves_the_base_model(live: Live, images: dict[str, Image]) -> None:
    live.use(an_adapter("noise", images["noise"].reference))
    live.wait("noise", state="Loaded")
    before = live.life()
    live.use()
    eventually(lambda: list(live.server.models()) == ["ws", "ws:base"], what=live.server.models)
    eventually(lambda: not live.told(), what=live.told)
    assert live.server.ask(QUESTION) == live.base
    assert live.server.post("/chat", {"prompt": "Hello", "model": "noise"}).status_code == 404
    assert live.life() == before


def test_an_adapter_of_wrong_shapes_is_refused_and_the_model_answers_on(
    live: Live, images: dict[str, Image]
) -> None:
    live.use()
    eventually(lambda: not live.told(), what=live.told)
    before, since = live.life(), condition(live.workspace(), "InferenceReady")["lastTransitionTime"]
    live.use(an_adapter("misfit", images["misfit"].reference))
    told = live.wait("misfit", state="Refused", reason="AdapterRefused")
    assert "4 x 288" in told["message"]
    assert live.server.ask(QUESTION) == live.base
    ready = condition(live.workspace(), "InferenceReady")
    assert (ready["status"], ready["lastTransitionTime"]) == ("True", since)
    assert [event["type"] for event in live.events("AdapterRefused")] == ["Warning"]
    assert live.life() == before


def test_what_the_registry_denies_the_server_comes_with_a_new_pod_that_the_node_pulls_for(
    live: Live, testbed: Obj, adapters: dict[str, Files]
) -> None:
    live.use()
    eventually(lambda: not live.told(), what=live.told)
    image = push_adapter(testbed, f"secret-{uuid.uuid4().hex[:8]}", adapters["noise"], private=True)
    # The account is the node's: new pods get it by their ServiceAccount, and the Workspace does not name it.
    user, password = testbed["private_user"], testbed["private_password"]
    auths = {
        testbed["private_registry_for_pods"]: {
            "auth": base64.b64encode(f"{user}:{password}".encode()).decode()
        }
    }
    secret = {
        "metadata": {"name": "of-the-node"},
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": json.dumps({"auths": auths})},
    }
    live.api.create("secrets", live.namespace, secret)
    account = {"imagePullSecrets": [{"name": "of-the-node"}]}
    live.api.merge("serviceaccounts", live.namespace, "default", account)
    old = live.pod()["metadata"]["uid"]

    live.use(an_adapter("secret", image.reference))
    live.wait("secret", state="NeedsRestart", reason="AdapterNeedsRestart")
    live.wait("secret", state="Loaded", timeout_s=150)
    assert live.server.ask(QUESTION) != live.base
    assert live.pod()["metadata"]["uid"] != old
    assert password not in json.dumps(live.workspace())
