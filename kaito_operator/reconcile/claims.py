"""Claims for nodes: which are to be made, which to go, and what each of them has come to.

A claim is one try. One that gets no node is replaced by another of another name, whose attempt is stored in
the status before it is made, so that a repeated creation can never buy a second machine.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kaito_operator.api import labels
from kaito_operator.api.status import ClaimRecord
from kaito_operator.manifests.claims import NodeNeed, claim
from kaito_operator.reconcile import pods
from kaito_operator.reconcile.attempts import (
    LOST_AFTER_S,
    OVERDUE_S,
    SILENT_AFTER_S,
    Ground,
    Slot,
    advance,
    age_s,
    is_hopeless,
    lost_for_s,
)
from kaito_operator.reconcile.claim import Claim, read_claim
from kaito_operator.reconcile.decision import ObjectRef, earliest
from kaito_operator.reconcile.observed import Obj

REFUSED_AGAIN_S = 30.0
"""A creation that was refused is tried again after so long, and a replacement that is held back looked at."""


@dataclass(frozen=True)
class ClaimsStep:
    """What is to be done about claims.

    Attributes:
        slots: by ordinal; their records are to be stored.
        create, delete: claims.
        settle: the records have changed in a way that must be stored before the next claim is made.
        again_in_s: when to look again though nothing happens.
    """

    slots: tuple[Slot, ...] = ()
    create: tuple[Obj, ...] = ()
    delete: tuple[ObjectRef, ...] = ()
    settle: bool = False
    again_in_s: float | None = None

    @property
    def records(self) -> list[ClaimRecord]:
        """For the status."""
        return [slot.record for slot in self.slots]


def step_claims(ground: Ground) -> ClaimsStep:
    """What is to be done now. Done twice it changes nothing."""
    stored = ground.workspace.status.claims if ground.workspace.status else []
    live = [read_claim(obj) for obj in ground.observed.claims if _counts(ground, obj)]
    slots = _matched(ground, stored, live)
    kept, surplus = _split(ground, slots)
    advanced = advance(ground, kept, live)
    gone = [
        slot for slot, new in zip(kept, advanced, strict=True) if new.record.attempt != slot.record.attempt
    ]
    delete = [slot.claim for slot in (*surplus, *gone) if slot.claim]
    known = {(r.ordinal, r.attempt) for r in stored}
    create = _missing(ground, advanced, live, known)
    return ClaimsStep(
        slots=tuple(advanced),
        create=tuple(create),
        delete=tuple(ObjectRef(c.kind, "", c.name, c.uid) for c in delete),
        settle=any(slot.claim is None and _is_news(slot.record, known) for slot in advanced),
        again_in_s=earliest(*(_deadline(ground, slot) for slot in advanced)),
    )


def _counts(ground: Ground, obj: Obj) -> bool:
    """Whether a claim stands, or stood, for a node of this Workspace."""
    metadata, owner = obj["metadata"], ground.workspace.metadata.uid
    made_for = metadata.get("annotations", {}).get(labels.ANNOTATION_WORKSPACE_UID, owner)
    # What an earlier Workspace of this name has left goes by itself; what stays of it is taken over.
    left_over = "deletionTimestamp" in metadata and made_for != owner
    return bool(obj["kind"] == ground.kind and not left_over)


def _is_news(record: ClaimRecord, known: set[tuple[int, int]]) -> bool:
    """True for an attempt that must be stored before its claim is made."""
    return record.attempt > 0 and (record.ordinal, record.attempt) not in known


def _matched(ground: Ground, stored: Sequence[ClaimRecord], live: Sequence[Claim]) -> list[Slot]:
    """A slot for each stored record, each further claim, and each node that is still wanted."""
    active = {c.name: c for c in live if not c.deleting}
    slots = [Slot(record, active.pop(record.name, None)) for record in stored]
    # Made just before a crash, or by v0.3.0, which named them at random: they stand for nodes as well.
    for found in sorted(active.values(), key=lambda c: c.name):
        slots.append(Slot(_adopted(ground, slots, found), found))
    used_names = {c.name for c in live} | set(ground.observed.vanished)
    while len(slots) < ground.wanted:
        slots.append(Slot(_new_record(ground, slots, used_names)))
    return sorted(slots, key=lambda slot: slot.record.ordinal)


def _free_ordinal(slots: Iterable[Slot]) -> int:
    taken = {slot.record.ordinal for slot in slots}
    return next(i for i in range(len(taken) + 1) if i not in taken)


def _adopted(ground: Ground, slots: Sequence[Slot], found: Claim) -> ClaimRecord:
    taken = {slot.record.ordinal for slot in slots}
    own = [i for i in range(ground.plan.replicas) if i not in taken and ground.name(i, 0) == found.name]
    ordinal = own[0] if own else _free_ordinal(slots)
    return ClaimRecord(
        ordinal=ordinal, name=found.name, instance_type=found.instance_type or ground.instance_type
    )


def _new_record(ground: Ground, slots: Sequence[Slot], used_names: set[str]) -> ClaimRecord:
    ordinal, attempt = _free_ordinal(slots), 0
    while ground.name(ordinal, attempt) in used_names:  # of an earlier one that is going or gone
        attempt += 1
    return ClaimRecord(
        ordinal=ordinal,
        attempt=attempt,
        name=ground.name(ordinal, attempt),
        instance_type=ground.instance_type,
    )


def _split(ground: Ground, slots: Sequence[Slot]) -> tuple[list[Slot], list[Slot]]:
    """Slots that stay, and those that are too many: hopeless, without a pod, not ready, youngest go first."""
    too_many = len(slots) - ground.wanted
    if too_many <= 0:
        return list(slots), []
    own_pods = [p for p in ground.observed.pods if pods.is_staying(p)]
    used = {pods.node_of(p) for p in own_pods} - {""}
    shrinking = len(own_pods) > ground.plan.replicas

    def keep_first(slot: Slot) -> tuple[bool, bool, bool, float, int]:
        found = slot.claim
        age = found.created_at.timestamp() if found and found.created_at else float("inf")
        has_pod = found is not None and found.node in used
        hopeless = found is not None and is_hopeless(ground, found)
        return (hopeless, not has_pod, not (found is not None and found.ready), age, slot.record.ordinal)

    ordered = sorted(slots, key=keep_first)
    kept, surplus = ordered[: ground.wanted], ordered[ground.wanted :]
    # While the workload has pods to take away itself, it decides which node becomes free.
    waiting = [s for s in surplus if shrinking and s.claim and s.claim.node in used]
    surplus = [s for s in surplus if s not in waiting]
    return sorted([*kept, *waiting], key=lambda slot: slot.record.ordinal), surplus


def _missing(
    ground: Ground, slots: Sequence[Slot], live: Sequence[Claim], known: set[tuple[int, int]]
) -> list[Obj]:
    """The claims to be made now: all at once, but never more than one beyond what is wanted."""
    refusal = ground.observed.refusals.get(ground.kind)
    if refusal is not None and (ground.now - refusal.at).total_seconds() < REFUSED_AGAIN_S:
        return []
    room = ground.plan.replicas + 1 - len(live)
    due = [
        slot.record
        for slot in slots
        if slot.claim is None
        and not _is_news(slot.record, known)
        and (slot.record.retry_at is None or slot.record.retry_at <= ground.now)
    ]
    return [_claim_of(ground, record) for record in due[: max(room, 0)]]


def _claim_of(ground: Ground, record: ClaimRecord) -> Obj:
    need = NodeNeed(record.instance_type, ground.gpus.get(record.instance_type), ground.plan.disk_bytes)
    return claim(ground.workspace, record.name, need, ground.runtime)


def _deadline(ground: Ground, slot: Slot) -> float | None:
    """Seconds until this slot changes by time alone."""
    found = slot.claim
    if found is None:
        return _until_asked(ground, slot.record)
    waits = []
    if not found.seen:
        waits.append(SILENT_AFTER_S - age_s(found, ground.now))
    if not found.ready and not found.node:
        waits.append(OVERDUE_S - age_s(found, ground.now))
    if (lost := lost_for_s(ground, found)) is not None:
        # Held back by others' losses, it is looked at again now and then.
        waits.append(LOST_AFTER_S - lost if lost < LOST_AFTER_S else REFUSED_AGAIN_S)
    return min((w for w in waits if w > 0), default=None)


def _until_asked(ground: Ground, record: ClaimRecord) -> float:
    """Seconds until a claim is to be made, or until the one that is made now should have been looked at."""
    pause = (record.retry_at - ground.now).total_seconds() if record.retry_at else 0.0
    if pause > 0:
        return pause
    refusal = ground.observed.refusals.get(ground.kind)
    if refusal is None:
        return SILENT_AFTER_S
    held = REFUSED_AGAIN_S - (ground.now - refusal.at).total_seconds()
    return held if held > 0 else REFUSED_AGAIN_S
