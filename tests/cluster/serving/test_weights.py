"""The four ways of the weights, each to an answer of the real model under the restricted standard.

The image volume is the way of test_main_job.py; here are the others.
"""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from presets.catalog import load_catalog
from tests.cluster.operator.test_faults import Told
from tests.support.hub import LocalHub
from tests.support.kube import Api, Obj
from tests.support.operator import OperatorProcess
from tools.demo.question import Client
from tools.kubectl import Kubectl

QUESTION = "What is the capital of France?"


def smollm2(**options: Any) -> Obj:
    preset = {"name": "smollm2-135m-instruct", "presetOptions": options}
    return {
        "apiVersion": "kaito.sh/v1alpha1",
        "kind": "Workspace",
        "metadata": {"name": "ws"},
        "inference": {"preset": preset},
    }


@pytest.fixture
def client(kubectl: Kubectl, testbed: Obj, namespace: str) -> Client:
    return Client(kubectl, testbed["images"]["operator"], namespace)


@pytest.mark.timeout(240)
@pytest.mark.operator_settings(KAITO_IMAGE_VOLUMES="off")
def test_weights_are_copied_out_of_their_image_where_images_cannot_be_mounted(
    api: Api, namespace: str, told: Told, client: Client
) -> None:
    api.create("workspaces", namespace, smollm2())
    told.ready("ws", timeout_s=120)
    assert told.status("ws")["plan"]["weightsFrom"] == "imageCopy"
    assert "Paris" in client.ask("ws", QUESTION)


@pytest.fixture
def claim(api: Api, namespace: str, testbed: Obj) -> Iterator[str]:
    """A claim bound to a folder of this machine that holds the weights."""
    name = f"weights-{uuid.uuid4().hex[:8]}"
    shape = {"accessModes": ["ReadOnlyMany"], "storageClassName": ""}
    volume = {
        "metadata": {"name": name},
        "spec": {
            **shape,
            "capacity": {"storage": "1Gi"},
            "hostPath": {"path": testbed["weights_folder"], "type": "Directory"},
            "claimRef": {"namespace": namespace, "name": "models"},
        },
    }
    api.create("persistentvolumes", None, volume)
    request = {"resources": {"requests": {"storage": "1Gi"}}, "volumeName": name}
    api.create(
        "persistentvolumeclaims", namespace, {"metadata": {"name": "models"}, "spec": {**shape, **request}}
    )
    yield "models"
    api.delete("persistentvolumes", None, name)


@pytest.mark.timeout(240)
def test_weights_are_read_from_a_volume_claim(
    api: Api, namespace: str, told: Told, client: Client, claim: str
) -> None:
    api.create("workspaces", namespace, smollm2(volumeClaim=claim, weightsPath="weights"))
    told.ready("ws", timeout_s=120)
    assert told.status("ws")["plan"]["weightsFrom"] == "volumeClaim"
    assert "Paris" in client.ask("ws", QUESTION)


@pytest.fixture
def hub(testbed: Obj) -> Iterator[LocalHub]:
    """A gated hub on this machine, at the address that pods reach, with the preset's own revision."""
    row = load_catalog()["smollm2-135m-instruct"].hub
    folder = Path(testbed["weights_folder"]) / "weights"
    with LocalHub(folder, row.id, row.revision, host=testbed["node_address"], token="the-token") as hub:
        yield hub


@pytest.mark.timeout(240)
def test_weights_are_fetched_from_a_gated_hub_with_the_token_of_a_secret(
    api: Api,
    kubeconfig: Path,
    testbed: Obj,
    namespace: str,
    lease_namespace: str,
    client: Client,
    hub: LocalHub,
    tmp_path: Path,
) -> None:
    operator = OperatorProcess(
        kubeconfig,
        tmp_path / "operator.log",
        lease_namespace,
        KAITO_RUNTIME_IMAGE=testbed["images"]["inference-cpu"],
        KAITO_HUB_ENDPOINT=hub.url,
    )
    with operator:
        told = Told(api, namespace, operator)
        secret = {"metadata": {"name": "hf"}, "stringData": {"HF_TOKEN": "a-wrong-token"}}
        api.create("secrets", namespace, secret)
        api.create("workspaces", namespace, smollm2(weightsFrom="hub", modelAccessSecret="hf"))
        told.blocked("ws", "HubDenied", timeout_s=60)

        api.merge("secrets", namespace, "hf", {"stringData": {"HF_TOKEN": "the-token"}})
        told.ready("ws", timeout_s=150)
        assert told.status("ws")["plan"]["weightsFrom"] == "hub"
        assert "Paris" in client.ask("ws", QUESTION)
        api.delete("workspaces", namespace, "ws")
    assert "the-token" not in operator.words()
