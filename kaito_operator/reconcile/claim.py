"""Reading one claim for a node, of either kind: what its provisioner has reached, and what it says."""

from dataclasses import dataclass
from datetime import datetime

from kaito_operator.api import labels
from kaito_operator.api.claim_reasons import is_final
from kaito_operator.api.machine import (
    CLAIM_FINALIZER,
    CLAIM_READY,
    MACHINE_KIND,
    MACHINE_STEPS,
    NODE_CLAIM_STEPS,
)
from kaito_operator.reconcile.observed import Obj

# Said of a step whose turn has not come.
_NOT_YET = frozenset(
    {
        "",
        "AwaitingReconciliation",
        "MachineNotLaunched",
        "MachineNotRegistered",
        "NotLaunched",
        "NotRegistered",
    }
)


@dataclass(frozen=True)
class Claim:
    """What matters of a Machine or a NodeClaim.

    Attributes:
        created_at: None when the object does not say.
        deleting: it is on its way out.
        seen: a provisioner has put its finalizer on it, or said something.
        launched: the machine exists.
        ready: its node is usable.
        node: name of its node, or an empty text.
        instance_type: that it asks for, or an empty text.
        reason, message: of the first step that is not done; empty texts when all are.
        since: when that step last turned.
        broken: its node was usable once, and is not any more.
        failed: the provisioner will not give it a node.
    """

    name: str
    kind: str
    uid: str
    created_at: datetime | None
    deleting: bool
    seen: bool
    launched: bool
    ready: bool
    node: str
    instance_type: str
    reason: str
    message: str
    since: datetime | None
    broken: bool
    failed: bool


def read_claim(obj: Obj) -> Claim:
    """The claim that the object is. Raises nothing for any object that the API server stores."""
    metadata, status = obj["metadata"], obj.get("status") or {}
    by_type = {str(c.get("type")): c for c in status.get("conditions") or ()}
    steps = MACHINE_STEPS if obj["kind"] == MACHINE_KIND else NODE_CLAIM_STEPS
    pending = next((by_type.get(step, {}) for step in steps if not _is_true(by_type.get(step))), None)
    ready = _is_true(by_type.get(CLAIM_READY))
    # What the node offers is written once it was usable; later a step may be taken back.
    broken = not ready and (pending is None or bool(status.get("allocatable")))
    if not ready and pending is None:
        pending = by_type.get(CLAIM_READY, {})
    said = pending or {}
    reason = str(said.get("reason") or "")
    return Claim(
        name=str(metadata["name"]),
        kind=str(obj["kind"]),
        uid=str(metadata.get("uid", "")),
        created_at=_moment(metadata.get("creationTimestamp")),
        deleting="deletionTimestamp" in metadata,
        seen=bool(by_type) or CLAIM_FINALIZER in (metadata.get("finalizers") or ()),
        launched=_is_true(by_type.get(steps[0])),
        ready=ready,
        node=str(status.get("nodeName") or ""),
        instance_type=_instance_type(obj),
        reason="" if reason in _NOT_YET else reason,
        message=str(said.get("message") or ""),
        since=_moment(said.get("lastTransitionTime")),
        broken=broken,
        failed=not ready and said.get("status") == "False" and is_final(reason),
    )


def _is_true(condition: Obj | None) -> bool:
    return condition is not None and condition.get("status") == "True"


def _moment(text: object) -> datetime | None:
    """A time of another controller's; Machines' conditions promise no format."""
    try:
        moment = datetime.fromisoformat(str(text)) if text else None
    except ValueError:
        return None
    return moment if moment is None or moment.tzinfo else None


def _instance_type(obj: Obj) -> str:
    for requirement in (obj.get("spec") or {}).get("requirements") or ():
        if requirement.get("key") == labels.LABEL_INSTANCE_TYPE and requirement.get("values"):
            return str(requirement["values"][0])
    return ""
