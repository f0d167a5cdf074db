"""The conditions of claims in the styles that their readers know: knative's for Machines, operatorpkg's for
NodeClaims. See reference/provisioner.md 1.1 and 1.2 for the rules.
"""  # noqa: D205 - one sentence, which needs two lines

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from kaito_operator.api.claim_reasons import CLAIM_REASONS
from kaito_operator.api.machine import CLAIM_READY
from kaito_operator.api.meta import format_timestamp
from kaito_operator.provisioner.claims import Claim

ConditionObj = dict[str, Any]
Turn = Literal["done", "pending", "failed", "waiting"]


@dataclass(frozen=True)
class Step:
    """How far one of the three steps is.

    Attributes:
        turn: pending is on its way, failed is not (any more), waiting has not had its turn.
        reason, message: why, unless it is done or waiting.
    """

    turn: Turn
    reason: str = ""
    message: str = ""


DONE: Final = Step("done")
WAITING: Final = Step("waiting")
Steps = tuple[Step, Step, Step]
"""Launch, registration, initialization."""

# What the turn of a later step waits for, in the words of v0.2.1.
_NOT_LAUNCHED: Final = ("MachineNotLaunched", "Machine is not launched")
_NOT_REGISTERED: Final = ("MachineNotRegistered", "Machine is not registered")
_AWAITING: Final = ("AwaitingReconciliation", "object is awaiting reconciliation")


def pending(reason: str, **facts: str) -> Step:
    """A step that is on its way, in the words of `api.claim_reasons`."""
    return Step("pending", reason, CLAIM_REASONS[reason].message(**facts))


def failed(reason: str, **facts: str) -> Step:
    """A step that failed, in the words of `api.claim_reasons`."""
    return Step("failed", reason, CLAIM_REASONS[reason].message(**facts))


def conditions(claim: Claim, steps: Steps, now: datetime) -> list[ConditionObj]:
    """All conditions as they are to be stored, those of other writers included.

    Equal steps give an equal list: a condition's time is that of its last change of status.
    """
    return _machine(claim, steps, now) if claim.is_machine else _node_claim(claim, steps, now)


def said_the_same(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> bool:
    """True when a reader would find no difference but the order and the spelling of absent fields."""
    return _comparable(old) == _comparable(new)


def _comparable(entries: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Any, ...]]:
    keys = ("status", "reason", "message", "observedGeneration")
    return {str(e.get("type")): tuple(e.get(key) or "" for key in keys) for e in entries}


def _others(claim: Claim) -> list[ConditionObj]:
    own = {*claim.steps, CLAIM_READY}
    return [dict(c) for c in claim.conditions if c.get("type") not in own]


def _stored(claim: Claim, kind: str) -> Mapping[str, Any]:
    return next((c for c in claim.conditions if c.get("type") == kind), {})


def _since(old: Mapping[str, Any], status: str, now: datetime) -> str:
    if old.get("status") == status and old.get("lastTransitionTime"):
        return str(old["lastTransitionTime"])
    return format_timestamp(now)


def _machine(claim: Claim, steps: Steps, now: datetime) -> list[ConditionObj]:
    entries: list[ConditionObj] = []
    waits = _NOT_REGISTERED if steps[0] == DONE else _NOT_LAUNCHED
    for kind, step in zip(claim.steps, steps, strict=True):
        status = "True" if step.turn == "done" else "False"
        entry = {
            "type": kind,
            "status": status,
            "lastTransitionTime": _since(_stored(claim, kind), status, now),
        }
        if step.turn == "waiting":
            entry |= {"reason": waits[0], "message": waits[1]}
        elif step.turn != "done":
            entry |= {"reason": step.reason, "message": step.message}
        entries.append(entry)
    entries.append(_machine_root(claim, entries, now))
    return sorted([*entries, *_others(claim)], key=lambda c: str(c.get("type")))


def _machine_root(claim: Claim, entries: Sequence[ConditionObj], now: datetime) -> ConditionObj:
    """Ready copies the newest step that is False; of equally new ones the first, which is the cause."""
    bad = [entry for entry in entries if entry["status"] == "False"]
    status = "False" if bad else "True"
    root = {
        "type": CLAIM_READY,
        "status": status,
        "lastTransitionTime": _since(_stored(claim, CLAIM_READY), status, now),
    }
    if bad:
        newest = max(str(entry["lastTransitionTime"]) for entry in bad)
        cause = next(entry for entry in bad if entry["lastTransitionTime"] == newest)
        if cause["reason"] in (_NOT_LAUNCHED[0], _NOT_REGISTERED[0]):
            cause = bad[0]  # "not launched" is newer only where its cause was told before it
        root |= {"reason": cause["reason"], "message": cause["message"]}
    return root


_NODE_CLAIM_STATUS: Final[Mapping[Turn, str]] = {
    "done": "True",
    "pending": "Unknown",
    "failed": "False",
    "waiting": "Unknown",
}


def _node_claim(claim: Claim, steps: Steps, now: datetime) -> list[ConditionObj]:
    entries = []
    for kind, step in zip(claim.steps, steps, strict=True):
        status = _NODE_CLAIM_STATUS[step.turn]
        reason, message = step.reason, step.message
        if step.turn == "done":
            reason, message = kind, ""
        elif step.turn == "waiting":
            reason, message = _AWAITING
        entries.append(_node_claim_entry(claim, kind, (status, reason, message), now))
    unhealthy = [entry for entry in entries if entry["status"] != "True"]
    said = ("True", CLAIM_READY, "")
    if unhealthy:
        broken = any(entry["status"] == "False" for entry in unhealthy)
        message = ", ".join(f"{entry['type']}={entry['status']}" for entry in unhealthy)
        said = (
            ("False", "UnhealthyDependents", message)
            if broken
            else ("Unknown", "ReconcilingDependents", message)
        )
    root = _node_claim_entry(claim, CLAIM_READY, said, now)
    listed = [*entries, *_others(claim)]
    return [*sorted(listed, key=lambda c: str(c.get("lastTransitionTime") or "")), root]


def _node_claim_entry(claim: Claim, kind: str, said: tuple[str, str, str], now: datetime) -> ConditionObj:
    status, reason, message = said
    old = _stored(claim, kind)
    if not old and claim.created:  # the first touch of a condition is dated back to the object's creation
        old = {"status": "Unknown", "lastTransitionTime": format_timestamp(claim.created)}
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": claim.generation,
        "lastTransitionTime": _since(old, status, now),
    }
