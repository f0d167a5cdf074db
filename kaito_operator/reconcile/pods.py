"""Reading a pod: is it ours and current, is it ready, what is each container doing."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from kaito_operator.api.labels import ANNOTATION_TEMPLATE_HASH
from kaito_operator.reconcile.observed import Obj
from kaito_operator.reconcile.ownership import controller_of


@dataclass(frozen=True)
class ContainerState:
    """What one container does now and how it ended before.

    Attributes:
        waiting_reason: such as ImagePullBackOff; empty when it does not wait.
        waiting_message: the node's words.
        exit_code: of the end that matters: the present one, else the last one; None if it never ended.
        exit_reason: such as OOMKilled or Error.
        exit_message: what the process wrote as its last words.
    """

    name: str
    image: str
    role: Literal["init", "sidecar", "main"]
    running: bool
    ready: bool
    started_once: bool
    waiting_reason: str
    waiting_message: str
    exit_code: int | None
    exit_reason: str
    exit_message: str


def is_leaving(pod: Obj) -> bool:
    """True when the pod is being deleted."""
    return "deletionTimestamp" in pod["metadata"]


def is_of_a_workload(pod: Obj) -> bool:
    """True for a pod that our workload made. Anyone can give a pod of his own our label."""
    return controller_of(pod).get("kind") in ("ReplicaSet", "StatefulSet")


def is_staying(pod: Obj) -> bool:
    """True for a pod of our workload that has not ended and is not being deleted."""
    return is_of_a_workload(pod) and not is_finished(pod) and not is_leaving(pod)


def is_current(pod: Obj, template_hash: str) -> bool:
    """True when the pod was made from the template with this hash."""
    annotations = pod["metadata"].get("annotations", {})
    return bool(annotations.get(ANNOTATION_TEMPLATE_HASH) == template_hash)


def is_ready(pod: Obj) -> bool:
    """True when the pod answers its readiness probe."""
    return condition(pod, "Ready").get("status") == "True" and not is_finished(pod)


def is_finished(pod: Obj) -> bool:
    """True when the pod has ended for good, as an evicted one."""
    return pod["status"].get("phase") in ("Failed", "Succeeded")


def node_of(pod: Obj) -> str:
    """The node that the pod was scheduled to, or an empty text."""
    return str(pod["spec"].get("nodeName", ""))


def condition(pod: Obj, kind: str) -> Obj:
    """The pod's condition of this type, empty when it has none."""
    for entry in pod["status"].get("conditions", ()):
        if entry.get("type") == kind:
            return dict(entry)
    return {}


def scheduled_at(pod: Obj) -> datetime | None:
    """When the pod got its node, or None."""
    entry = condition(pod, "PodScheduled")
    if entry.get("status") != "True" or not entry.get("lastTransitionTime"):
        return None
    return datetime.fromisoformat(entry["lastTransitionTime"])


def unschedulable_since(pod: Obj) -> datetime | None:
    """Since when the scheduler finds no node for the pod; None when it has one, or was not looked at."""
    entry = condition(pod, "PodScheduled")
    if entry.get("reason") != "Unschedulable" or not entry.get("lastTransitionTime"):
        return None
    return datetime.fromisoformat(entry["lastTransitionTime"])


def started(pod: Obj) -> str:
    """When the pod's present containers started, as one text; another one after each restart."""
    entries = pod["status"].get("containerStatuses", ())
    states = ((e.get("name"), (e.get("state") or {}).get("running") or {}) for e in entries)
    return ", ".join(f"{name} {running.get('startedAt', '')}" for name, running in states)


def containers(pod: Obj) -> Iterator[ContainerState]:
    """All containers in the order in which they start."""
    sidecars = {
        c.get("name") for c in pod["spec"].get("initContainers", ()) if c.get("restartPolicy") == "Always"
    }
    for entry in pod["status"].get("initContainerStatuses", ()):
        yield _container(entry, "sidecar" if entry.get("name") in sidecars else "init")
    for entry in pod["status"].get("containerStatuses", ()):
        yield _container(entry, "main")


def _container(entry: Obj, role: Literal["init", "sidecar", "main"]) -> ContainerState:
    state, last = entry.get("state") or {}, entry.get("lastState") or {}
    waiting = state.get("waiting") or {}
    ended = state.get("terminated") or last.get("terminated") or {}
    return ContainerState(
        name=entry.get("name", ""),
        image=entry.get("image", ""),
        role=role,
        running="running" in state,
        ready=bool(entry.get("ready")),
        started_once=bool(entry.get("started")) or bool(last) or "terminated" in state,
        waiting_reason=waiting.get("reason", ""),
        waiting_message=waiting.get("message", ""),
        exit_code=ended.get("exitCode"),
        exit_reason=ended.get("reason", ""),
        exit_message=(ended.get("message") or "").strip(),
    )
