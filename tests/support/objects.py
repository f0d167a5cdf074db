"""Objects as the API server gives them, small: pods, nodes, Workspaces."""

from datetime import UTC, datetime, timedelta
from typing import Any

from kaito_operator.api.labels import ANNOTATION_TEMPLATE_HASH, LABEL_WORKSPACE

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
Obj = dict[str, Any]


def at(seconds: float) -> str:
    """The moment so many seconds after NOW, as the API server writes it."""
    return (NOW + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def a_workspace(name: str = "ws", *, uid: str = "ws-uid", generation: int = 1, **payload: Any) -> Obj:
    metadata = {
        "name": name,
        "namespace": "ns",
        "uid": uid,
        "generation": generation,
        "resourceVersion": "1",
        "creationTimestamp": at(-60),
        **payload.pop("metadata", {}),
    }
    payload = payload or {"inference": {"preset": {"name": "smollm2-135m-instruct"}}}
    return {"apiVersion": "kaito.sh/v1alpha1", "kind": "Workspace", "metadata": metadata, **payload}


def a_node(name: str = "node-1", *, ready: bool = True, cordoned: bool = False, **more: Any) -> Obj:
    condition = {
        "type": "Ready",
        "status": "True" if ready else "Unknown",
        "reason": "KubeletReady" if ready else "NodeStatusUnknown",
        "message": "" if ready else "Kubelet stopped posting node status.",
        "lastTransitionTime": at(-600),
    }
    return {
        "metadata": {"name": name, "uid": f"uid-{name}", "labels": more.get("labels", {})},
        "spec": {"unschedulable": True} if cordoned else {},
        "status": {
            "conditions": [condition],
            "allocatable": more.get("allocatable", {}),
            "nodeInfo": {"containerRuntimeVersion": more.get("runtime", "containerd://2.2.9")},
        },
    }


def a_pod(
    name: str = "ws-1",
    *,
    node: str | None = "node-1",
    ready: bool = False,
    template_hash: str = "h",
    **status: Any,
) -> Obj:
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": at(-30)}
    if node is None:
        scheduled = {"type": "PodScheduled", "status": "False", **status.pop("scheduled", {})}
    answers = {
        "type": "Ready",
        "status": "True" if ready else "False",
        "lastTransitionTime": status.pop("ready_at", at(-30)),
    }
    return {
        "metadata": {
            "name": name,
            "namespace": "ns",
            "uid": f"uid-{name}",
            "labels": {LABEL_WORKSPACE: "ws"},
            "annotations": {ANNOTATION_TEMPLATE_HASH: template_hash},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "ws-1", "uid": "rs", "controller": True}],
        },
        "spec": {"nodeName": node} if node else {},
        "status": {"phase": "Running" if ready else "Pending", "conditions": [scheduled, answers], **status},
    }


def unschedulable(message: str) -> Obj:
    return a_pod(node=None, scheduled={"reason": "Unschedulable", "message": message})


def a_container(name: str = "ws", *, image: str = "reg/img:1", **fields: Any) -> Obj:
    return {"name": name, "image": image, "ready": False, "state": {}, "lastState": {}, **fields}


def waiting(reason: str, message: str = "", **fields: Any) -> Obj:
    return a_container(state={"waiting": {"reason": reason, "message": message}}, **fields)


def running(*, since: float = -5, **fields: Any) -> Obj:
    return a_container(state={"running": {"startedAt": at(since)}}, **fields)


def ended(code: int, reason: str = "Error", message: str = "") -> Obj:
    return {"terminated": {"exitCode": code, "reason": reason, "message": message}}
