"""Objects as the API server gives them, small: pods, nodes, Workspaces."""

from datetime import UTC, datetime, timedelta
from typing import Any

from kaito_operator.api.labels import (
    ANNOTATION_TEMPLATE_HASH,
    LABEL_INSTANCE_TYPE,
    LABEL_WORKSPACE,
    LABEL_WORKSPACE_NAMESPACE,
)
from kaito_operator.api.machine import MACHINE_KIND, MACHINE_STEPS, NODE_CLAIM_STEPS

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


LAUNCHED, REGISTERED, DONE = 1, 2, 3
"""Steps that a claim has behind it."""


def claim_status(kind: str, reached: int, *, reason: str = "", node: str = "", **more: Any) -> Obj:
    """What a provisioner says of a claim that has `reached` so many steps, and of the next one `reason`.

    `final` as our provisioner does when it gives up; `broken` when all was done and Ready is lost again;
    `since` in seconds from NOW.
    """
    machine, broken = kind == MACHINE_KIND, bool(more.get("broken"))
    not_done = "False" if machine or more.get("final") else "Unknown"
    moment = at(more.get("since", 0))
    conditions: list[Obj] = []
    for place, step in enumerate(MACHINE_STEPS if machine else NODE_CLAIM_STEPS):
        entry = {"type": step, "status": "True", "lastTransitionTime": moment}
        if place >= reached:
            entry |= {
                "status": not_done if place == reached else "Unknown",
                "reason": "AwaitingReconciliation",
            }
        if place == reached:
            entry |= {"reason": reason or "Pending", "message": more.get("message", "")}
        conditions.append(entry)
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": moment}
    if broken or reached < DONE:
        ready |= {
            "status": "False" if broken else not_done,
            "reason": reason,
            "message": more.get("message", ""),
        }
    return {"conditions": [*conditions, ready], **({"nodeName": node} if node else {})}


def a_claim(name: str = "old-1", *, kind: str = "Machine", created: float = 0, **more: Any) -> Obj:
    """A claim of Workspace `ws`, as yet unseen by its provisioner unless `reached` says how far it is."""
    requirement = {"key": LABEL_INSTANCE_TYPE, "operator": "In", "values": [more.pop("instance_type", "T")]}
    metadata = {
        "name": name,
        "uid": f"uid-{name}",
        "creationTimestamp": at(created),
        "labels": {LABEL_WORKSPACE: "ws", LABEL_WORKSPACE_NAMESPACE: "ns"},
        **({"deletionTimestamp": at(0)} if more.pop("deleting", False) else {}),
    }
    status = claim_status(kind, more.pop("reached"), **more) if "reached" in more else {}
    return {"kind": kind, "metadata": metadata, "spec": {"requirements": [requirement]}, "status": status}
