"""Causes that only a real cluster makes: each is provoked, named in the status, cured, and then gone."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.cluster.operator.test_children import a_workspace
from tests.support.kube import Api, Obj, condition, eventually
from tests.support.operator import OperatorProcess


def a_template(image: str, **container: Any) -> Obj:
    """A pod that runs under the restricted Pod Security Standard and is ready as soon as it runs."""
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return {
        "spec": {
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {
                    "name": "server",
                    "image": image,
                    "command": ["python3", "-m", "http.server", "5000", "--directory", "/usr/share"],
                    "securityContext": security,
                    **container,
                }
            ],
        }
    }


def template_workspace(name: str, template: Obj, resource: Obj | None = None) -> Obj:
    workspace = a_workspace(name, inference={"template": template})
    workspace["resource"] = resource or {}
    return workspace


class Told:
    """What a Workspace says of itself."""

    def __init__(self, api: Api, namespace: str, operator: OperatorProcess) -> None:
        self._api, self._namespace, self._operator = api, namespace, operator

    def status(self, name: str) -> Obj:
        return dict(self._api.get("workspaces", self._namespace, name).get("status", {}))

    def blocked(self, name: str, code: str, *, timeout_s: float = 30) -> Obj:
        """Wait until the Workspace is blocked on this reason; returns blockedOn."""

        def told() -> Obj | None:
            blocked: Obj = self.status(name).get("blockedOn", {})
            return blocked if blocked.get("reason") == code else None

        return eventually(told, timeout_s=timeout_s, what=lambda: self.status(name))

    def ready(self, name: str, *, timeout_s: float = 60) -> None:
        def is_ready() -> bool:
            found = self._api.get("workspaces", self._namespace, name)
            return condition(found, "WorkspaceReady").get("status") == "True"

        eventually(is_ready, timeout_s=timeout_s, what=lambda: self.status(name))


@pytest.fixture
def told(api: Api, namespace: str, operator: OperatorProcess) -> Told:
    return Told(api, namespace, operator)


IMAGES = [
    ("ImageNotFound", "{registry}/no-such-image:1"),
    ("ImageUnauthorized", "{private}/secret-image:1"),
    ("RegistryUnreachable", "localhost:5999/image:1"),
]


@pytest.mark.parametrize(("code", "image"), IMAGES)
def test_what_is_wrong_with_an_image_is_told(
    api: Api, namespace: str, told: Told, testbed: Obj, code: str, image: str
) -> None:
    reference = image.format(registry=testbed["registry"], private=testbed["private_registry"])
    api.create("workspaces", namespace, template_workspace("ws", a_template(reference)))
    assert reference in told.blocked("ws", code)["message"]


def test_a_corrected_image_cures_it(api: Api, namespace: str, told: Told, testbed: Obj) -> None:
    wrong = a_template(f"{testbed['registry']}/no-such-image:1")
    api.create("workspaces", namespace, template_workspace("ws", wrong))
    told.blocked("ws", "ImageNotFound")
    right = a_template(testbed["images"]["operator"])
    api.merge("workspaces", namespace, "ws", {"inference": {"template": right}})
    told.ready("ws")


def test_a_missing_secret_is_named_and_its_creation_cures_it(
    api: Api, namespace: str, told: Told, testbed: Obj
) -> None:
    reference = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "the-secret", "key": "token"}}}
    template = a_template(testbed["images"]["operator"], env=[reference])
    api.create("workspaces", namespace, template_workspace("ws", template))
    assert "the-secret" in told.blocked("ws", "SecretMissing")["message"]
    api.create("secrets", namespace, {"metadata": {"name": "the-secret"}, "stringData": {"token": "x"}})
    told.ready("ws")


def test_a_missing_config_map_of_a_volume_is_named(
    api: Api, namespace: str, told: Told, testbed: Obj
) -> None:
    mount = {"name": "v", "mountPath": "/v"}
    template = a_template(testbed["images"]["operator"], volumeMounts=[mount])
    template["spec"]["volumes"] = [{"name": "v", "configMap": {"name": "the-map"}}]
    api.create("workspaces", namespace, template_workspace("ws", template))
    assert "the-map" in told.blocked("ws", "ConfigMapMissing")["message"]


def test_a_missing_claim_is_named(api: Api, namespace: str, told: Told) -> None:
    preset = {"name": "smollm2-135m-instruct", "presetOptions": {"volumeClaim": "the-claim"}}
    workspace = {**a_workspace(inference={"preset": preset}), "resource": {}}
    api.create("workspaces", namespace, workspace)
    assert "the-claim" in told.blocked("ws", "VolumeClaimMissing")["message"]


def test_a_pod_that_the_namespace_forbids_is_told(api: Api, namespace: str, told: Told, testbed: Obj) -> None:
    template = a_template(testbed["images"]["operator"], securityContext={"privileged": True})
    api.create("workspaces", namespace, template_workspace("ws", template))
    assert "privileged" in told.blocked("ws", "PodSecurity")["message"]


def test_a_used_up_quota_is_told_and_raising_it_cures_it(
    api: Api, namespace: str, told: Told, testbed: Obj
) -> None:
    quota = {"metadata": {"name": "q"}, "spec": {"hard": {"pods": "0"}}}
    api.create("resourcequotas", namespace, quota)
    eventually(lambda: "used" in api.get("resourcequotas", namespace, "q").get("status", {}), timeout_s=20)
    api.create("workspaces", namespace, template_workspace("ws", a_template(testbed["images"]["operator"])))
    told.blocked("ws", "QuotaExceeded")
    api.delete("resourcequotas", namespace, "q")
    told.ready("ws", timeout_s=90)


def test_a_crash_loop_tells_the_last_words(api: Api, namespace: str, told: Told, testbed: Obj) -> None:
    crash = ["python3", "-c", "import sys; sys.exit('the disk is upside down')"]
    template = a_template(testbed["images"]["operator"], command=crash)
    template["spec"]["containers"][0]["terminationMessagePolicy"] = "FallbackToLogsOnError"
    api.create("workspaces", namespace, template_workspace("ws", template))
    assert "the disk is upside down" in told.blocked("ws", "ServerCrashed")["message"]


def test_too_little_memory_is_told(api: Api, namespace: str, told: Told, testbed: Obj) -> None:
    template = a_template(
        testbed["images"]["operator"],
        command=["python3", "-c", "x = bytearray(200_000_000); x[::4096] = b'1' * len(x[::4096])"],
        resources={"limits": {"memory": "50Mi"}},
    )
    api.create("workspaces", namespace, template_workspace("ws", template))
    told.blocked("ws", "OutOfMemory")


def test_more_memory_than_any_node_has_is_told(api: Api, namespace: str, told: Told, testbed: Obj) -> None:
    template = a_template(testbed["images"]["operator"], resources={"requests": {"memory": "10Ti"}})
    api.create("workspaces", namespace, template_workspace("ws", template))
    told.blocked("ws", "InsufficientMemory")


GPU_PLACE = {"test.kaito.sh/pool": "gpu"}
Node = Callable[..., None]


@pytest.mark.timeout(240)
def test_with_exactly_one_gpu_a_rollout_comes_to_its_end_and_a_second_workspace_waits(
    api: Api, namespace: str, told: Told, testbed: Obj, gpu_node: str
) -> None:
    resource = {"labelSelector": {"matchLabels": GPU_PLACE}}
    template = a_template(testbed["images"]["operator"], resources={"limits": {"nvidia.com/gpu": "1"}})
    api.create("workspaces", namespace, template_workspace("one", template, resource))
    told.ready("one", timeout_s=120)
    assert told.status("one")["workerNodes"] == [gpu_node]

    changed = a_template(
        testbed["images"]["operator"],
        resources={"limits": {"nvidia.com/gpu": "1"}},
        env=[{"name": "VERSION", "value": "2"}],
    )
    api.merge("workspaces", namespace, "one", {"inference": {"template": changed}})
    generation = api.get("workspaces", namespace, "one")["metadata"]["generation"]
    eventually(lambda: told.status("one")["observedGeneration"] == generation, timeout_s=10)
    told.ready("one", timeout_s=90)
    listed = api.list("pods", namespace, labelSelector="kaito.sh/workspace=one")
    pods = [pod for pod in listed if "deletionTimestamp" not in pod["metadata"]]
    assert [pod["spec"]["containers"][0]["env"][0]["value"] for pod in pods] == ["2"]

    api.create("workspaces", namespace, template_workspace("two", template, resource))
    told.blocked("two", "InsufficientGpu")
    api.delete("workspaces", namespace, "one")
    told.ready("two", timeout_s=90)
