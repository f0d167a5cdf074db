"""What the operator makes of a Workspace stays as it should be, whoever touches it.

The pods of these Workspaces ask for a label that no node has, so that nothing runs and the cluster stays
quiet; what is tested is the objects.
"""

import json
from typing import Any

import pytest

from tests.cluster.conftest import Gone
from tests.support.kube import Api, Obj, condition, eventually
from tests.support.operator import OperatorProcess

NOWHERE = {"labelSelector": {"matchLabels": {"test.kaito.sh/place": "nowhere"}}}


def a_workspace(name: str = "ws", **payload: Any) -> Obj:
    body: Obj = {"resource": NOWHERE, "inference": {"preset": {"name": "smollm2-135m-instruct"}}}
    metadata = {"name": name, **payload.pop("metadata", {})}
    return {"apiVersion": "kaito.sh/v1alpha1", "kind": "Workspace", "metadata": metadata, **body, **payload}


@pytest.fixture
def workspace(api: Api, operator: OperatorProcess, namespace: str) -> Obj:
    created = api.create("workspaces", namespace, a_workspace())
    eventually(lambda: api.find("services", namespace, "ws"), timeout_s=5, what=operator.words)
    return created


def reason(api: Api, namespace: str, name: str = "ws") -> str:
    found = api.find("workspaces", namespace, name) or {}
    return str(found.get("status", {}).get("blockedOn", {}).get("reason", ""))


def test_a_workspace_gets_a_deployment_and_a_service_of_its_name(
    api: Api, namespace: str, workspace: Obj
) -> None:
    deployment = api.get("deployments", namespace, "ws")
    service = api.get("services", namespace, "ws")
    assert deployment["metadata"]["ownerReferences"][0]["uid"] == workspace["metadata"]["uid"]
    assert [(p["name"], p["port"], p["targetPort"]) for p in service["spec"]["ports"]] == [
        ("http", 80, 5000),
        ("torch", 29500, 29500),
    ]
    assert not service["spec"].get("publishNotReadyAddresses")


@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize(
    ("plural", "name"), [("deployments", "ws"), ("services", "ws"), ("configmaps", "ws-adapters")]
)
def test_a_deleted_child_comes_back(api: Api, namespace: str, plural: str, name: str) -> None:
    old = eventually(lambda: api.find(plural, namespace, name), timeout_s=5)["metadata"]["uid"]
    api.delete(plural, namespace, name)
    eventually(
        lambda: (new := api.find(plural, namespace, name)) and new["metadata"]["uid"] != old, timeout_s=10
    )


EDITS: list[tuple[str, Obj]] = [
    ("deployments", {"spec": {"replicas": 5}}),
    ("deployments", {"spec": {"strategy": {"type": "Recreate", "rollingUpdate": None}}}),
    ("services", {"spec": {"selector": {"kaito.sh/workspace": "ws", "other": "pods"}}}),
    ("services", {"metadata": {"labels": {"kaito.sh/workspace": None}}}),
    ("services", {"metadata": {"ownerReferences": None}}),
    ("configmaps", {"data": {"adapters.json": "{}"}}),
]


@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize(("plural", "edit"), EDITS)
def test_an_edited_child_is_put_back(api: Api, namespace: str, plural: str, edit: Obj) -> None:
    name = "ws-adapters" if plural == "configmaps" else "ws"
    before = eventually(lambda: api.find(plural, namespace, name), timeout_s=5)
    api.merge(plural, namespace, name, edit)

    def is_back() -> bool:
        now = api.get(plural, namespace, name)
        same = ("spec", "data", "labels", "ownerReferences")
        wanted = {**before, **before["metadata"]}
        return all({**now, **now["metadata"]}.get(key) == wanted.get(key) for key in same)

    eventually(is_back, timeout_s=10, what=lambda: api.get(plural, namespace, name))


@pytest.mark.usefixtures("workspace")
def test_the_load_balancer_annotation_works_both_ways(api: Api, namespace: str) -> None:
    def service_type() -> str:
        return str(api.get("services", namespace, "ws")["spec"]["type"])

    api.merge("workspaces", namespace, "ws", {"metadata": {"annotations": {"kaito.sh/enablelb": "True"}}})
    eventually(lambda: service_type() == "LoadBalancer", timeout_s=5)
    api.merge("workspaces", namespace, "ws", {"metadata": {"annotations": {"kaito.sh/enablelb": None}}})
    eventually(lambda: service_type() == "ClusterIP", timeout_s=5)


@pytest.mark.usefixtures("workspace")
def test_changing_the_count_scales(api: Api, namespace: str) -> None:
    api.merge("workspaces", namespace, "ws", {"resource": {"count": 3}})
    eventually(lambda: api.get("deployments", namespace, "ws")["spec"]["replicas"] == 3, timeout_s=5)


@pytest.mark.usefixtures("workspace")
def test_a_changed_server_rolls_the_workload(api: Api, namespace: str) -> None:
    def arguments() -> list[str]:
        template = api.get("deployments", namespace, "ws")["spec"]["template"]
        return list(template["spec"]["containers"][0]["args"])

    assert "--max-model-len" not in arguments()
    api.merge("workspaces", namespace, "ws", {"inference": {"server": {"contextTokens": 700}}})
    now = eventually(lambda: "--max-model-len" in (found := arguments()) and found, timeout_s=5)
    assert now[now.index("--max-model-len") + 1] == "700"


@pytest.mark.usefixtures("workspace")
def test_changed_adapters_change_their_list_and_not_the_workload(api: Api, namespace: str) -> None:
    before = api.get("deployments", namespace, "ws")["metadata"]["generation"]
    adapters = [{"source": {"name": "a", "image": "localhost:5000/adapter:1"}, "strength": "0.5"}]
    api.merge("workspaces", namespace, "ws", {"inference": {"adapters": adapters}})

    def listed() -> Any:
        return json.loads(api.get("configmaps", namespace, "ws-adapters")["data"]["adapters.json"])[
            "adapters"
        ]

    entry = {"name": "a", "image": "localhost:5000/adapter:1", "strength": 0.5, "inPod": False}
    eventually(lambda: listed() == [entry], timeout_s=5, what=listed)
    generation = api.get("workspaces", namespace, "ws")["metadata"]["generation"]
    eventually(
        lambda: api.get("workspaces", namespace, "ws")["status"].get("observedGeneration") == generation
    )
    assert api.get("deployments", namespace, "ws")["metadata"]["generation"] == before


@pytest.mark.usefixtures("workspace")
def test_deleting_leaves_nothing_behind(api: Api, namespace: str, gone: Gone) -> None:
    api.delete("workspaces", namespace, "ws")
    gone.wait(namespace, "ws")


@pytest.mark.usefixtures("workspace")
def test_the_status_says_which_label_is_missing(api: Api, namespace: str) -> None:
    eventually(lambda: reason(api, namespace) == "NoMatchingNode", timeout_s=10)
    status = api.get("workspaces", namespace, "ws")["status"]
    assert "test.kaito.sh/place=nowhere" in status["blockedOn"]["message"]
    assert "kubectl label node" in status["blockedOn"]["nextAction"]
    assert condition({"status": status}, "ResourceReady")["status"] == "False"


@pytest.mark.usefixtures("operator")
def test_a_service_of_somebody_else_is_left_alone_and_named(api: Api, namespace: str) -> None:
    theirs = {"metadata": {"name": "ws"}, "spec": {"ports": [{"port": 1234}], "selector": {"a": "b"}}}
    before = api.create("services", namespace, theirs)
    api.create("workspaces", namespace, a_workspace())
    eventually(lambda: reason(api, namespace) == "NameConflict", timeout_s=5)
    assert api.get("services", namespace, "ws")["spec"] == before["spec"]


@pytest.mark.usefixtures("operator")
def test_a_template_that_the_api_server_refuses_is_quoted(api: Api, namespace: str) -> None:
    template = {"spec": {"containers": [{"name": "Not A Name", "image": "i:1"}]}}
    api.create("workspaces", namespace, a_workspace(inference={"template": template}))
    eventually(lambda: reason(api, namespace) == "WriteRefused", timeout_s=5)
    message = api.get("workspaces", namespace, "ws")["status"]["blockedOn"]["message"]
    assert "Not A Name" in message


@pytest.mark.usefixtures("operator")
def test_an_unknown_preset_is_answered_with_the_nearest_names(api: Api, namespace: str) -> None:
    api.create("workspaces", namespace, a_workspace(inference={"preset": {"name": "phi-3-mini"}}))
    eventually(lambda: reason(api, namespace) == "PresetUnknown", timeout_s=5)
    assert (
        "phi-3-mini-4k-instruct" in api.get("workspaces", namespace, "ws")["status"]["blockedOn"]["message"]
    )


@pytest.mark.usefixtures("operator")
def test_a_workspace_recreated_at_once_gets_children_of_its_own(api: Api, namespace: str) -> None:
    api.create("workspaces", namespace, a_workspace())
    eventually(lambda: api.find("services", namespace, "ws"), timeout_s=5)
    api.delete("workspaces", namespace, "ws")
    second = eventually(lambda: _created(api, namespace), timeout_s=10)

    def owned() -> bool:
        children = [api.find(plural, namespace, "ws") for plural in ("deployments", "services")]
        owners = [c["metadata"]["ownerReferences"][0]["uid"] for c in children if c]
        return owners == [second["metadata"]["uid"]] * 2

    eventually(owned, timeout_s=30)


def _created(api: Api, namespace: str) -> Obj | None:
    if api.find("workspaces", namespace, "ws"):
        return None
    return api.create("workspaces", namespace, a_workspace())
