"""Nodes of a pool: which one a claim is bound to, what is written on it, and what it still lacks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from kaito_operator.api.machine import CLAIM_FINALIZER, Taint
from kaito_operator.provisioner import names
from kaito_operator.provisioner.claims import API_VERSIONS, Claim, read_moment
from kaito_operator.provisioner.requirements import LaunchPlan

Obj = Mapping[str, Any]

_EPHEMERAL: Final = frozenset(
    {
        ("node.kubernetes.io/not-ready", "NoSchedule"),
        ("node.kubernetes.io/not-ready", "NoExecute"),
        ("node.kubernetes.io/unreachable", "NoSchedule"),
        ("node.cloudprovider.kubernetes.io/uninitialized", "NoSchedule"),
        (names.TAINT_UNREGISTERED, "NoExecute"),
    }
)
_NOT_COPIED: Final = frozenset(
    {"kubectl.kubernetes.io/last-applied-configuration", names.ANNOTATION_LAUNCH_BEGAN}
)
DELETE_FINALIZERS: Final = "$deleteFromPrimitiveList/finalizers"
"""What a strategic merge patch calls taking entries out of a list."""
_DISRUPTED: Final = {"key": names.TAINT_DISRUPTED, "effect": "NoSchedule"}
# The size of the disk is asked of the pool, and no node ever offers a resource of this name.
_NOT_OFFERED: Final = "storage"


@dataclass(frozen=True)
class Node:
    """A Node of a pool.

    Attributes:
        ready_since: when Ready last turned, whatever it is now.
        trouble: reason and message of the Ready condition that is not True.
        obj: the object as stored.
    """

    name: str
    uid: str
    provider_id: str
    ready: bool
    ready_since: datetime | None
    trouble: str
    created: datetime | None
    deleted: datetime | None
    labels: Mapping[str, str]
    taints: tuple[Mapping[str, Any], ...]
    obj: Obj

    @property
    def deleting(self) -> bool:
        """It is on its way out."""
        return self.deleted is not None

    @property
    def registered(self) -> bool:
        """What registration writes has been written."""
        return self.labels.get(names.LABEL_REGISTERED) == "true"

    @property
    def held(self) -> bool:
        """It carries our finalizer."""
        return CLAIM_FINALIZER in (self.obj["metadata"].get("finalizers") or ())


def read_node(obj: Obj) -> Node:
    """Parse a stored Node."""
    metadata, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    ready: Obj = next((c for c in status.get("conditions") or () if c.get("type") == "Ready"), {})
    said = (str(ready.get("reason") or "the kubelet has not reported yet"), str(ready.get("message") or ""))
    return Node(
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        provider_id=spec.get("providerID") or "",
        ready=ready.get("status") == "True",
        ready_since=read_moment(ready.get("lastTransitionTime")),
        trouble=": ".join(part for part in said if part),
        created=read_moment(metadata.get("creationTimestamp")),
        deleted=read_moment(metadata.get("deletionTimestamp")),
        labels=metadata.get("labels") or {},
        taints=tuple(spec.get("taints") or ()),
        obj=obj,
    )


def bound_node(nodes: Sequence[Node], bound: str) -> Node | None:
    """The node that a claim follows: a Ready one, then one that stays, the present one, the oldest.

    An upgrade brings a second node before it takes the first away, so two are normal for a while.
    """
    known = [node for node in nodes if node.provider_id]
    order = [(not n.ready, n.deleting, n.name != bound, str(n.created), n.name) for n in known]
    return known[order.index(min(order))] if known else None


def registration_patch(
    claim: Claim, node: Node, plan: LaunchPlan | None, *, initialized: bool
) -> dict[str, Any] | None:
    """The one strategic merge patch that registers a node and marks it initialized; None when all is there.

    Finalizers and owners merge. Taints are replaced as a whole list, so a patch with taints is locked on the
    resourceVersion; without them it is not: other controllers write to a new node several times a second.
    """
    metadata = node.obj["metadata"]
    changes: dict[str, Any] = {}
    labels = _missing(_labels(claim, plan, node, initialized=initialized), metadata.get("labels"))
    annotations = _missing(_annotations(claim), metadata.get("annotations"))
    if labels:
        changes["labels"] = labels
    if annotations:
        changes["annotations"] = annotations
    if not node.held and not node.deleting:  # the API server refuses a new finalizer on what is deleted
        changes["finalizers"] = [*(metadata.get("finalizers") or ()), CLAIM_FINALIZER]
    owners = metadata.get("ownerReferences") or []
    if not any(owner.get("uid") == claim.uid for owner in owners):
        changes["ownerReferences"] = [*owners, _owner(claim)]
    patch: dict[str, Any] = {"metadata": changes} if changes else {}
    taints = wanted_taints(claim, node)
    if taints != list(node.taints):
        patch["spec"] = {"taints": taints}
    if not patch:
        return None
    lock = {"resourceVersion": metadata.get("resourceVersion", "")} if "spec" in patch else {}
    return {**patch, "metadata": {**changes, **lock, "uid": node.uid}}


def _missing(wanted: Mapping[str, str], present: Mapping[str, str] | None) -> dict[str, str]:
    return {key: value for key, value in wanted.items() if (present or {}).get(key) != value}


def _labels(claim: Claim, plan: LaunchPlan | None, node: Node, *, initialized: bool) -> dict[str, str]:
    wanted = {k: v for k, v in (plan.labels if plan else {}).items() if k not in node.labels}
    wanted |= claim.labels
    wanted |= {names.LABEL_REGISTERED: "true", names.LABEL_CLAIM_UID: claim.uid}
    if initialized:
        wanted[names.LABEL_INITIALIZED] = "true"
    return wanted


def _annotations(claim: Claim) -> dict[str, str]:
    return {k: v for k, v in claim.annotations.items() if k not in _NOT_COPIED}


def _owner(claim: Claim) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSIONS[claim.kind],
        "kind": claim.kind,
        "name": claim.name,
        "uid": claim.uid,
        "blockOwnerDeletion": True,
    }


def wanted_taints(claim: Claim, node: Node) -> list[Mapping[str, Any]]:
    """The node's taints after registration.

    A registered node keeps what it has: whoever has taken a startup taint away must not find it again.
    """
    if node.registered:
        return list(node.taints)
    kept = [t for t in node.taints if t.get("key") != names.TAINT_UNREGISTERED]
    if node.labels.get(names.LABEL_DO_NOT_SYNC_TAINTS) == "true":
        return kept
    present = {(t.get("key"), t.get("effect")) for t in kept}
    wanted = (*claim.spec.taints, *claim.spec.startup_taints)
    return [*kept, *(_taint_obj(t) for t in wanted if (t.key, t.effect) not in present)]


def _taint_obj(taint: Taint) -> dict[str, str]:
    value = {"value": taint.value} if taint.value else {}
    return {"key": taint.key, "effect": taint.effect, **value}


def needs_taints(claim: Claim, node: Node) -> bool:
    """A taint of the claim is missing: pods may land where they must not."""
    return wanted_taints(claim, node) != list(node.taints)


def obstacle(claim: Claim, node: Node) -> tuple[str, str] | None:
    """What keeps a registered node from being usable, as (reason, detail), or None."""
    if not node.ready:
        return "NodeNotReady", node.trouble
    taints = {(t.get("key"), t.get("effect")): t for t in wanted_taints(claim, node)}
    for wanted in claim.spec.startup_taints:
        if (wanted.key, wanted.effect) in taints:
            return "StartupTaintsExist", f'"{_text(taints[wanted.key, wanted.effect])}"'
    for known in sorted(_EPHEMERAL & set(taints)):
        return "KnownEphemeralTaintsExist", f'"{_text(taints[known])}"'
    offered = node.obj.get("status", {}).get("allocatable") or {}
    for resource, amount in sorted(claim.spec.resources.requests.items()):
        if resource != _NOT_OFFERED and amount != "0" and offered.get(resource, "0") == "0":
            return "ResourceNotRegistered", resource
    return None


def _text(taint: Mapping[str, Any]) -> str:
    value = f"={taint['value']}" if taint.get("value") else ""
    return f"{taint.get('key')}{value}:{taint.get('effect')}"


def drain_patch(node: Node) -> dict[str, Any] | None:
    """Keep new pods and load balancers off a node that goes, and let go of it: the claim holds the VM.

    Returns None when that is done. The finalizer goes with the same write, since what it guards (drain
    before the VM goes) is under way, and the claim's own finalizer stays until the pool is gone.
    """
    metadata = node.obj["metadata"]
    changes: dict[str, Any] = {}
    if node.labels.get(names.LABEL_EXCLUDE_FROM_LB) != "karpenter":
        changes["labels"] = {names.LABEL_EXCLUDE_FROM_LB: "karpenter"}
    if node.held:
        changes[DELETE_FINALIZERS] = [CLAIM_FINALIZER]
    patch: dict[str, Any] = {"metadata": changes} if changes else {}
    others = [t for t in node.taints if t.get("key") != names.TAINT_DISRUPTED]
    if len(others) == len(node.taints):
        patch["spec"] = {"taints": [*others, _DISRUPTED]}
    if not patch:
        return None
    return {**patch, "metadata": {**changes, "resourceVersion": metadata.get("resourceVersion", "")}}


def release_patch(node: Node) -> dict[str, Any]:
    """Take our finalizer off a node, and nothing else: a strategic merge patch, whatever else is written."""
    return {"metadata": {"uid": node.uid, DELETE_FINALIZERS: [CLAIM_FINALIZER]}}
