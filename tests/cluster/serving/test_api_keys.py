"""Who may ask: keys from a Secret, and what is said where a LoadBalancer asks nobody for one."""

import pytest

from tests.cluster.operator.test_children import NOWHERE
from tests.cluster.operator.test_faults import Told
from tests.support.kube import Api, Obj, eventually
from tests.support.server import Server

QUESTION = {"prompt": "Hello", "generate_kwargs": {"max_new_tokens": 2}}
OPEN_TO_ALL = {"kaito.sh/enablelb": "True"}


def a_workspace(*, secret: str = "", annotations: Obj | None = None, resource: Obj | None = None) -> Obj:
    server = {"server": {"apiKeysSecret": secret}} if secret else {}
    return {
        "apiVersion": "kaito.sh/v1alpha1",
        "kind": "Workspace",
        "metadata": {"name": "ws", "annotations": annotations or {}},
        "resource": resource or {},
        "inference": {"preset": {"name": "smollm2-135m-instruct"}, **server},
    }


@pytest.mark.timeout(240)
def test_with_a_secret_of_keys_only_who_sends_one_is_answered(api: Api, namespace: str, told: Told) -> None:
    api.create("secrets", namespace, {"metadata": {"name": "keys"}, "stringData": {"team": "the-key"}})
    api.create("workspaces", namespace, a_workspace(secret="keys"))
    told.ready("ws", timeout_s=150)
    codes = {
        key: Server(api, namespace, "ws", key=key).post("/chat", QUESTION).status_code
        for key in ("", "a-wrong-key", "the-key")
    }
    assert codes == {"": 401, "a-wrong-key": 401, "the-key": 200}
    assert Server(api, namespace, "ws").get("/v1/models").status_code == 401


def events(api: Api, namespace: str) -> list[Obj]:
    return [e for e in api.list("events", namespace) if e["reason"] == "LoadBalancerOpen"]


def test_a_load_balancer_without_keys_is_warned_of_once(api: Api, namespace: str, told: Told) -> None:
    api.create("workspaces", namespace, a_workspace(annotations=OPEN_TO_ALL, resource=NOWHERE))
    eventually(lambda: events(api, namespace), timeout_s=15)
    (warning,) = told.status("ws")["plan"]["warnings"]
    assert "apiKeysSecret" in warning
    api.merge("workspaces", namespace, "ws", {"metadata": {"annotations": {"example.test/touched": "yes"}}})
    told.blocked("ws", "NoMatchingNode")
    assert [(e["type"], e.get("count", 1)) for e in events(api, namespace)] == [("Warning", 1)]


def test_a_load_balancer_with_keys_is_not_warned_of(api: Api, namespace: str, told: Told) -> None:
    api.create("workspaces", namespace, a_workspace(secret="keys", annotations=OPEN_TO_ALL, resource=NOWHERE))
    told.blocked("ws", "NoMatchingNode")
    assert not told.status("ws")["plan"].get("warnings")
    assert events(api, namespace) == []
