"""What a claim has come to, and the attempt that follows one that came to nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from kaito_operator.api.status import ClaimRecord
from kaito_operator.api.workspace import Workspace
from kaito_operator.manifests.claims import KINDS, claim_name
from kaito_operator.planner.plan import Plan
from kaito_operator.reconcile import nodes
from kaito_operator.reconcile.claim import Claim
from kaito_operator.reconcile.observed import Observed
from kaito_operator.settings import RuntimeSettings

LOST_AFTER_S = 600.0
"""A node that has not been ready for so long does not come back by itself; node image upgrades take less."""

OVERDUE_S = 4500.0
"""After so long without a node a claim is given up, whoever serves it. Our provisioner gives up earlier."""

SILENT_AFTER_S = 60.0
"""A provisioner puts its finalizer on a new claim within seconds."""

LONGEST_RETRY_S = 3600.0

_REPLACING: Final = "NodeReplacing"
_OF_THE_TYPE: Final = frozenset({"AzureQuotaExceeded", "AzureNoCapacity", "AzureSkuNotAvailable"})
"""Another type helps at once. After anything else the same is tried once more, as it is the cheapest."""


@dataclass(frozen=True)
class Slot:
    """One of the nodes that are to be added, and the claim that stands for it now, if one does."""

    record: ClaimRecord
    claim: Claim | None = None


@dataclass(frozen=True)
class Ground:
    """What the steps of one Workspace's claims stand on.

    Attributes:
        instance_type: that new claims ask for.
        successors: types to try one after another, in order; the last is followed by the first.
        gpus: that a node of each type has; a type that is not there is not known.
        wanted: how many claims are to be there.
    """

    workspace: Workspace
    plan: Plan
    observed: Observed
    runtime: RuntimeSettings
    now: datetime
    instance_type: str
    successors: tuple[str, ...]
    gpus: dict[str, int | None]
    wanted: int

    @property
    def kind(self) -> str:
        """Of the claims that are made in this mode."""
        return KINDS[self.runtime.provisioning][0]

    def name(self, ordinal: int, attempt: int) -> str:
        """Of the claim for an ordinal's attempt."""
        return claim_name(self.workspace.metadata, ordinal, attempt)


def advance(ground: Ground, slots: Sequence[Slot], live: Sequence[Claim]) -> list[Slot]:
    """Each slot after what its claim has come to; with the next attempt when it came to nothing."""
    result: list[Slot] = []
    for place, slot in enumerate(slots):
        others = (*result, *slots[place + 1 :])  # one after another, so that one at a time is replaced
        result.append(_advanced(ground, slot, others, {c.name for c in live}))
    return result


def _advanced(ground: Ground, slot: Slot, others: Sequence[Slot], names: set[str]) -> Slot:
    record, found = slot.record, slot.claim
    if found is None:
        if record.name in names or record.name in ground.observed.vanished:  # on its way out, or gone
            return Slot(_failed(ground, record, "ClaimVanished", ""))
        return slot
    if (end := _came_to_nothing(ground, record, found, others)) is not None:
        return Slot(end)
    if not found.ready:
        return slot
    cleared = {"failures": 0, "reason": None, "message": None, "retry_at": None}
    return Slot(record.model_copy(update=cleared), found)


def _came_to_nothing(
    ground: Ground, record: ClaimRecord, found: Claim, others: Sequence[Slot]
) -> ClaimRecord | None:
    """The next attempt where this claim has lost its node or will get none; None while there is hope."""
    if _has_lost_its_node(ground, found) and not ground.observed.many_nodes_lost:
        detail = f"{found.node} has not been ready for {LOST_AFTER_S / 60:.0f} min."
        if not (found.ready or found.broken):
            return _failed(ground, record, "NodeNotInitialized", detail)
        if not any(slot.record.reason == _REPLACING for slot in others):
            return _failed(ground, record, _REPLACING, detail, at_once=True)
    if found.failed:
        return _failed(ground, record, found.reason, found.message)
    if _is_overdue(ground, found):
        detail = found.message or f"nothing came of it in {OVERDUE_S / 60:.0f} min"
        return _failed(ground, record, "LaunchTimeout", detail)
    return None


def is_hopeless(ground: Ground, found: Claim) -> bool:
    """True for a claim that will get no node, or has lost the one it had."""
    return found.failed or _is_overdue(ground, found) or _has_lost_its_node(ground, found)


def _is_overdue(ground: Ground, found: Claim) -> bool:
    return not found.ready and not found.node and age_s(found, ground.now) >= OVERDUE_S


def _has_lost_its_node(ground: Ground, found: Claim) -> bool:
    lost = lost_for_s(ground, found)
    return lost is not None and lost >= LOST_AFTER_S


def _failed(
    ground: Ground, record: ClaimRecord, reason: str, message: str, *, at_once: bool = False
) -> ClaimRecord:
    """The next attempt: with the next type where there is one, else the same later."""
    failures = record.failures + (0 if at_once else 1)
    instance_type, pause_s = record.instance_type, 0.0
    if not at_once:
        same_again = reason not in _OF_THE_TYPE and failures < 2
        instance_type, pause_s = _next_try(ground, record.instance_type, failures, same_again=same_again)
    attempt = record.attempt + 1
    return ClaimRecord(
        ordinal=record.ordinal,
        attempt=attempt,
        name=ground.name(record.ordinal, attempt),
        instance_type=instance_type,
        failures=failures,
        reason=reason,
        message=message[:1024],
        retry_at=ground.now + timedelta(seconds=pause_s) if pause_s else None,
    )


def _next_try(ground: Ground, failed_type: str, failures: int, *, same_again: bool) -> tuple[str, float]:
    """(instance type, seconds to wait)."""
    if same_again:
        return failed_type, float(ground.runtime.claim_retry_s)
    types = ground.successors or (failed_type,)
    place = types.index(failed_type) if failed_type in types else len(types) - 1
    if place + 1 < len(types):
        return types[place + 1], 0.0
    rounds = max(failures - len(types), 0)
    pause_s = min(ground.runtime.claim_retry_s * 2.0 ** min(rounds, 12), LONGEST_RETRY_S)
    return types[0], pause_s


def lost_for_s(ground: Ground, found: Claim) -> float | None:
    """Seconds since the claim's node was last ready; None while it is, or never was there."""
    if not found.node:
        return None
    node = next((n for n in ground.observed.nodes if n["metadata"]["name"] == found.node), None)
    # One that is named before we see it is on its way; its claim may have waited long before.
    gone_since = found.since if found.broken else None
    since = nodes.not_ready_since(node) if node is not None else gone_since
    return (ground.now - since).total_seconds() if since else None


def age_s(found: Claim, now: datetime) -> float:
    """Seconds since the claim was made; 0 when it does not say."""
    return (now - found.created_at).total_seconds() if found.created_at else 0.0


def is_silent(found: Claim, now: datetime) -> bool:
    """True for a claim that no provisioner has looked at though it had the time."""
    return not found.seen and age_s(found, now) >= SILENT_AFTER_S
