"""Which nodes of the cluster a Workspace may use, and in what state they are."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from kaito_operator.api.labels import LABEL_INSTANCE_TYPE, RESOURCE_GPU
from kaito_operator.reconcile.observed import Obj


def matching_nodes(nodes: Iterable[Obj], labels: Mapping[str, str], instance_type: str | None) -> list[Obj]:
    """The nodes with these labels and this instance type, by name; a node without a type fits any.

    Cordoned and not ready nodes are among them: the caller tells why they cannot be used.
    """
    return sorted(
        (node for node in nodes if _matches(node, labels, instance_type)),
        key=lambda node: str(node["metadata"]["name"]),
    )


def _matches(node: Obj, labels: Mapping[str, str], instance_type: str | None) -> bool:
    own = node["metadata"].get("labels", {})
    if any(own.get(key) != value for key, value in labels.items()):
        return False
    return instance_type is None or own.get(LABEL_INSTANCE_TYPE, instance_type) == instance_type


def ready_condition(node: Obj) -> Obj:
    """The node's Ready condition, empty when it has none."""
    for condition in node.get("status", {}).get("conditions", ()):
        if condition.get("type") == "Ready":
            return dict(condition)
    return {}


def is_ready(node: Obj) -> bool:
    """True when the kubelet reports ready and the node is not being deleted."""
    return ready_condition(node).get("status") == "True" and "deletionTimestamp" not in node["metadata"]


def is_cordoned(node: Obj) -> bool:
    """True when a person or a drain keeps new pods away."""
    return bool(node.get("spec", {}).get("unschedulable"))


def runs_image_volumes(node: Obj) -> bool:
    """True when the node is known to run containerd 2.1 or newer, the first to mount image volumes."""
    runtime = str(node.get("status", {}).get("nodeInfo", {}).get("containerRuntimeVersion", ""))
    name, _, version = runtime.partition("://")
    parts = version.lstrip("v").split(".")
    if name != "containerd" or len(parts) < 2 or not all(p.isdecimal() for p in parts[:2]):
        return False
    return (int(parts[0]), int(parts[1])) >= (2, 1)


def gpus_of(node: Obj) -> int:
    """GPUs that the node offers to pods, taken or free."""
    text = str(node.get("status", {}).get("allocatable", {}).get(RESOURCE_GPU, "0"))
    return int(text) if text.isdecimal() else 0


def not_ready_since(node: Obj) -> datetime | None:
    """When the node stopped being ready; None while it is ready, or when it does not say."""
    condition = ready_condition(node)
    if condition.get("status") == "True" or not condition.get("lastTransitionTime"):
        return None
    return datetime.fromisoformat(str(condition["lastTransitionTime"]))


def ready_since(node: Obj) -> datetime | None:
    """Since when the node is ready; None while it is not, or when it does not say."""
    condition = ready_condition(node)
    if condition.get("status") != "True" or not condition.get("lastTransitionTime"):
        return None
    return datetime.fromisoformat(str(condition["lastTransitionTime"]))
