"""What the nodes of a Workspace wait for, in words: from the state of its claims to one finding."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from kaito_operator.api.reasons import REASONS, Finding, finding, worst
from kaito_operator.api.workspace import Workspace
from kaito_operator.manifests.claims import KINDS
from kaito_operator.planner.plan import Plan
from kaito_operator.reconcile import nodes, pods
from kaito_operator.reconcile.attempts import Slot, is_silent
from kaito_operator.reconcile.claim import Claim
from kaito_operator.reconcile.claims import ClaimsStep
from kaito_operator.reconcile.observed import Obj, Observed
from kaito_operator.settings import RuntimeSettings

GPU_GRACE_S = 60.0
"""A device plugin registers its GPUs within a minute of its node's first Ready: its image is pulled first."""


_LOST: Mapping[str, str] = MappingProxyType({"NodeNotReady": "NodeNotReady", "NodeNotFound": "NodeGone"})
"""What a provisioner says of a node that was usable once, and the row of that."""


@dataclass(frozen=True)
class NodesTold:
    """How far the added nodes are.

    Attributes:
        finding: what they wait for; None when all are usable.
        missing: how many are not.
        again_in_s: when a node may have become late; None when none may.
    """

    finding: Finding | None
    missing: int
    again_in_s: float | None = None


@dataclass(frozen=True)
class _Scene:
    workspace: Workspace
    plan: Plan
    observed: Observed
    runtime: RuntimeSettings
    now: datetime
    missing: int
    wanted: int

    def about(self, code: str, slot: Slot, **facts: str) -> Finding:
        kind, plural = KINDS[self.runtime.provisioning]
        common = {
            "kind": kind,
            "plural": plural,
            "claim": slot.record.name,
            "type": slot.record.instance_type,
            "node": slot.claim.node if slot.claim else "",
            "name": self.workspace.metadata.name,
            "namespace": self.workspace.metadata.namespace,
            "missing": str(self.missing),
            "wanted": str(self.wanted),
            "expected": _minutes(self.plan.timing.provisioning_s),
            "gpus": str(self.plan.gpus_per_pod),
            "detail": "",
        }
        return finding(code, **{**common, **facts})


def _minutes(seconds: int) -> str:
    return f"{max(round(seconds / 60), 1)} min" if seconds >= 120 else f"{seconds} s"


def tell_nodes(
    workspace: Workspace,
    plan: Plan,
    step: ClaimsStep,
    observed: Observed,
    runtime: RuntimeSettings,
    now: datetime,
) -> NodesTold:
    """What the claims of this step come to. Equal states give equal words: no counting of seconds."""
    by_name = {str(n["metadata"]["name"]): n for n in observed.nodes}
    usable = [slot for slot in step.slots if _is_usable(slot, plan, by_name)]
    missing = len(step.slots) - len(usable)
    scene = _Scene(workspace, plan, observed, runtime, now, missing, len(step.slots))
    found = [f for slot in step.slots if (f := _finding(scene, slot, by_name))]
    waits = [_gpu_grace_left_s(slot, by_name, now) for slot in step.slots if slot not in usable]
    return NodesTold(
        worst(found) if found else None,
        missing,
        min((w for w in waits if w > 0), default=None),
    )


def _node(slot: Slot, by_name: Mapping[str, Obj]) -> Obj | None:
    return by_name.get(slot.claim.node) if slot.claim else None


def _is_usable(slot: Slot, plan: Plan, by_name: Mapping[str, Obj]) -> bool:
    node = _node(slot, by_name)
    return (
        slot.claim is not None
        and slot.claim.ready
        and node is not None
        and nodes.gpus_of(node) >= plan.gpus_per_pod
    )


def _gpu_grace_left_s(slot: Slot, by_name: Mapping[str, Obj], now: datetime) -> float:
    node = _node(slot, by_name)
    since = nodes.ready_since(node) if node is not None else None
    return GPU_GRACE_S - (now - since).total_seconds() if since else 0.0


def _finding(scene: _Scene, slot: Slot, by_name: Mapping[str, Obj]) -> Finding | None:
    refusal = _refused(scene, slot)
    if refusal is not None:
        return refusal
    if slot.claim is None:
        return _failure(scene, slot) or scene.about("NodeLaunching", slot)
    if slot.claim.ready:
        return _gpus(scene, slot, by_name)
    return _trouble(scene, slot, slot.claim) or _progress(scene, slot, slot.claim)


def _refused(scene: _Scene, slot: Slot) -> Finding | None:
    refusal = scene.observed.refusals.get(KINDS[scene.runtime.provisioning][0])
    if refusal is None or slot.claim is not None:
        return None
    code = "ProvisionerMissing" if refusal.unknown_kind else "ClaimRefused"
    return scene.about(code, slot, detail=refusal.message)


def _failure(scene: _Scene, slot: Slot) -> Finding | None:
    """Why the last claim got no node; told until one does, since the next try may end the same."""
    code = slot.record.reason
    if code is None:
        return None
    known = code if code in REASONS else "ClaimFailed"
    return scene.about(known, slot, detail=slot.record.message or "")


def _gpus(scene: _Scene, slot: Slot, by_name: Mapping[str, Obj]) -> Finding | None:
    node = _node(slot, by_name)
    offered = nodes.gpus_of(node) if node is not None else 0
    if node is not None and offered >= scene.plan.gpus_per_pod:
        fresh = _gpu_grace_left_s(slot, by_name, scene.now) > 0
        return scene.about("NodeJoining", slot) if fresh and _pods_lack_nodes(scene) else None
    if node is None or _gpu_grace_left_s(slot, by_name, scene.now) > 0:
        return scene.about("NodeJoining", slot)
    return scene.about("GpuNotRegistered", slot, found=str(offered))


def _pods_lack_nodes(scene: _Scene) -> bool:
    """True while a pod has no node: what the scheduler said of it before this node came is old news."""
    return any(pods.is_staying(pod) and not pods.node_of(pod) for pod in scene.observed.pods)


def _trouble(scene: _Scene, slot: Slot, found: Claim) -> Finding | None:
    """What its provisioner complains of."""
    if found.broken and (lost := _LOST.get(found.reason)):
        return scene.about(lost, slot, detail=found.message)
    row = REASONS.get(found.reason)
    if row is not None and row.phase == "Blocked" and found.reason != "NodeNotReady":
        return scene.about(found.reason, slot, detail=found.message)
    if is_silent(found, scene.now):
        return scene.about("ProvisionerSilent", slot)
    return None


def _progress(scene: _Scene, slot: Slot, found: Claim) -> Finding:
    if not found.launched:
        return _failure(scene, slot) or scene.about("NodeLaunching", slot)
    return scene.about("NodeJoining", slot)


def nothing_to_ask_for(workspace: Workspace, plan: Plan, missing: int, details: Sequence[str]) -> Finding:
    """Nodes are needed, and no instance type is named or found."""
    if plan.preset is None:
        return finding("InstanceTypeNeeded", name=workspace.metadata.name)
    return finding(
        "NothingFits",
        preset=plan.preset.name,
        count=str(missing),
        detail="; ".join(details[:3]) or "none fits",
    )
