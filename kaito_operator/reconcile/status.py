"""From what was found to the Workspace's status: phase, conditions, blockedOn, timeline.

Equal findings give an equal status, so that nothing is written while nothing changes: no counters, no
"seconds so far", and times only where something turned.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kaito_operator.api import conditions as kinds
from kaito_operator.api import reasons
from kaito_operator.api.conditions import Condition, ConditionStatus, set_condition
from kaito_operator.api.reasons import Finding, Phase
from kaito_operator.api.status import (
    AdapterStatus,
    BlockedOn,
    ClaimRecord,
    PlanStatus,
    TimelineEntry,
    WorkspaceStatus,
)
from kaito_operator.api.workspace import Workspace
from kaito_operator.planner.plan import open_to_all
from kaito_operator.reconcile.adapter_status import adapter_events
from kaito_operator.reconcile.decision import EventDraft

_TIMELINE_LENGTH = 32


@dataclass(frozen=True)
class AddedNodes:
    """What a condition of v0.3.0 tells of the nodes that are added.

    Attributes:
        condition: MachineReady or NodeClaimReady.
        missing: how many are not usable yet.
        finding: what they wait for; None when all are there.
    """

    condition: str
    missing: int
    finding: Finding | None


@dataclass(frozen=True)
class Assessment:
    """What is true of a Workspace now.

    Attributes:
        finding: what it waits for; None when it is ready.
        resource_ready: every pod has a ready node.
        worker_nodes: the nodes of its pods, sorted.
        instance_type: asked for, chosen, or read from its nodes.
        plan: what was worked out; None when there is no plan.
        claims: the nodes that are asked for.
        nodes: how far those are; None where no nodes are added.
        expected: seconds that each phase is planned to take.
        adapters: how far each adapter is.
    """

    finding: Finding | None
    resource_ready: bool = False
    worker_nodes: tuple[str, ...] = ()
    instance_type: str | None = None
    plan: PlanStatus | None = None
    expected: Mapping[Phase, int] | None = None
    claims: Sequence[ClaimRecord] = ()
    nodes: AddedNodes | None = None
    adapters: Sequence[AdapterStatus] = ()

    @property
    def phase(self) -> Phase:
        """The phase that the finding belongs to."""
        return "Ready" if self.finding is None else self.finding.reason.phase


def build_status(workspace: Workspace, now_true: Assessment, now: datetime) -> WorkspaceStatus:
    """The status that says `now_true`, keeping the times of what did not turn."""
    old = workspace.status or WorkspaceStatus()
    return WorkspaceStatus(
        worker_nodes=list(now_true.worker_nodes),
        conditions=_conditions(workspace, old, now_true, now),
        phase=now_true.phase,
        instance_type=now_true.instance_type,
        blocked_on=_blocked_on(old, now_true.finding, now),
        timeline=_timeline(old, now_true, now),
        plan=now_true.plan,
        claims=list(now_true.claims),
        adapters=list(now_true.adapters),
        observed_generation=workspace.metadata.generation,
    )


def status_patch(old: Mapping[str, Any] | None, new: WorkspaceStatus) -> dict[str, Any] | None:
    """The new status as a merge patch; None when the stored one says the same already.

    Fields that the new status no longer has are set to null, as a merge patch needs it.
    """
    wanted = new.to_dict()
    stored = dict(old) if isinstance(old, Mapping) else {}
    if stored == wanted:
        return None
    return _with_nulls(stored, wanted)


def _with_nulls(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    patch: dict[str, Any] = {key: None for key in stored if key not in wanted}
    for key, value in wanted.items():
        before = stored.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            patch[key] = _with_nulls(before, value)
        else:
            patch[key] = value
    return patch


def transitions(workspace: Workspace, new: WorkspaceStatus) -> tuple[EventDraft, ...]:
    """The Events to be posted: of a phase or its reason that changed, of adapters, of a new warning."""
    old = workspace.status or WorkspaceStatus()
    return (*_of_phase(old, new), *adapter_events(old.adapters, new.adapters), *_of_exposure(workspace, old))


def _of_exposure(workspace: Workspace, old: WorkspaceStatus) -> tuple[EventDraft, ...]:
    """Once for each time that everybody is let in."""
    if not open_to_all(workspace):
        return ()
    found = reasons.finding("LoadBalancerOpen", name=workspace.metadata.name)
    text = f"{found.message} {found.next_action}"
    if old.plan is not None and text in old.plan.warnings:
        return ()
    return (EventDraft("Warning", found.reason.code, text),)


def _of_phase(old: WorkspaceStatus, new: WorkspaceStatus) -> tuple[EventDraft, ...]:
    old_reason = old.blocked_on.reason if old.blocked_on else None
    blocked = new.blocked_on
    if (old.phase, old_reason) == (new.phase, blocked.reason if blocked else None):
        return ()
    if blocked is None:
        return (EventDraft("Normal", "WorkspaceReady", _ready_message(new)),)
    if new.phase == "Blocked":
        return (EventDraft("Warning", blocked.reason, f"{blocked.message} {blocked.next_action}"[:1024]),)
    return (EventDraft("Normal", blocked.reason, blocked.message[:1024]),)


def _ready_message(status: WorkspaceStatus) -> str:
    nodes = ", ".join(status.worker_nodes)
    return f"The model answers on {nodes}." if nodes else "The model answers."


def _conditions(
    workspace: Workspace, old: WorkspaceStatus, now_true: Assessment, now: datetime
) -> list[Condition]:
    generation = workspace.metadata.generation
    result = list(old.conditions)

    def put(kind: str, status: ConditionStatus, reason: str, message: str) -> None:
        nonlocal result
        new = Condition(
            type=kind,
            status=status,
            reason=reason,
            message=message,
            last_transition_time=now,
            observed_generation=generation,
        )
        result = set_condition(result, new)

    if now_true.nodes is not None:
        put(now_true.nodes.condition, *_nodes_words(now_true.nodes))
    found = now_true.finding
    said = f"{found.message} {found.next_action}" if found else ""
    if now_true.resource_ready:
        put(kinds.RESOURCE_READY, "True", reasons.RESOURCE_READY_REASON, reasons.RESOURCE_READY_MESSAGE)
    elif found:
        put(kinds.RESOURCE_READY, "False", found.reason.code, said)
    if found is None:
        put(kinds.INFERENCE_READY, "True", reasons.INFERENCE_READY_REASON, reasons.INFERENCE_READY_MESSAGE)
        put(kinds.WORKSPACE_READY, "True", reasons.WORKSPACE_READY_REASON, reasons.WORKSPACE_READY_MESSAGE)
    else:
        if workspace.inference is not None:
            put(kinds.INFERENCE_READY, "False", found.reason.code, said)
        put(kinds.WORKSPACE_READY, "False", found.reason.code, said)
    return result


def _nodes_words(added: AddedNodes) -> tuple[ConditionStatus, str, str]:
    """(status, reason, message) of the condition on the added nodes; v0.3.0's words where all is well."""
    machines = added.condition == kinds.MACHINE_READY
    found = added.finding
    if found is None or (added.missing == 0 and not found.blocked):
        what = reasons.MACHINES_READY_MESSAGE if machines else reasons.NODE_CLAIMS_READY_MESSAGE
        return "True", reasons.NODES_READY_REASON, what
    if found.blocked:
        return "False", found.reason.code, f"{found.message} {found.next_action}"
    reason = reasons.MACHINES_PENDING_REASON if machines else reasons.NODE_CLAIMS_PENDING_REASON
    noun = "machines" if machines else "nodeClaims"
    return "Unknown", reason, f"creating {added.missing} {noun}"


def _blocked_on(old: WorkspaceStatus, found: Finding | None, now: datetime) -> BlockedOn | None:
    if found is None:
        return None
    same = old.blocked_on is not None and old.blocked_on.reason == found.reason.code
    since = old.blocked_on.since if same and old.blocked_on else now
    return BlockedOn(
        reason=found.reason.code, message=found.message, next_action=found.next_action, since=since
    )


def _timeline(old: WorkspaceStatus, now_true: Assessment, now: datetime) -> list[TimelineEntry]:
    timeline = list(old.timeline)
    if timeline and timeline[-1].phase == now_true.phase:
        return timeline
    if timeline and timeline[-1].ended_at is None:
        timeline[-1] = timeline[-1].model_copy(update={"ended_at": now})
    expected = (now_true.expected or {}).get(now_true.phase)
    timeline.append(TimelineEntry(phase=now_true.phase, started_at=now, expected_seconds=expected))
    return timeline[-_TIMELINE_LENGTH:]
