"""The end of a Workspace: its claims are marked for deletion, then it may go.

Each claim's own finalizer guards its machine, so the Workspace need not wait for Azure. Other children go
with their owner.
"""

from typing import Any

from pydantic import ValidationError

from kaito_operator.api import labels
from kaito_operator.api.conditions import WORKSPACE_DELETING, Condition, set_condition
from kaito_operator.api.meta import ObjectMeta
from kaito_operator.api.reasons import DELETING_MESSAGE, DELETING_REASON, finding
from kaito_operator.api.status import WorkspaceStatus
from kaito_operator.api.workspace import Workspace
from kaito_operator.reconcile.context import Context
from kaito_operator.reconcile.decision import Decision, EventDraft, ObjectRef
from kaito_operator.reconcile.observed import Obj, Observed
from kaito_operator.reconcile.status import Assessment, build_status, status_patch

AGAIN_S = 5.0


def decide_deletion(raw: Obj, observed: Observed, context: Context) -> Decision:
    """The next step of a Workspace that is being deleted."""
    finalizers = tuple(raw["metadata"].get("finalizers", ()))
    left = [c for c in observed.claims if "deletionTimestamp" not in c["metadata"]]
    abandoned = labels.ANNOTATION_ABANDON_CLAIMS in raw["metadata"].get("annotations", {})
    if labels.FINALIZER not in finalizers and (abandoned or not left):
        return Decision()  # released; while others hold it, claims that come to light still go
    without = tuple(f for f in finalizers if f != labels.FINALIZER)
    if not left:
        return Decision(finalizers=without)
    if abandoned:
        return Decision(finalizers=without, events=(_abandoned(left),))
    delete = tuple(
        ObjectRef(c["kind"], "", c["metadata"]["name"], c["metadata"].get("uid", "")) for c in left
    )
    refusal = observed.refusals.get("delete")
    if refusal is None:
        return Decision(delete=delete)
    return Decision(delete=delete, status=_told(raw, left, refusal.message, context), retry_after_s=AGAIN_S)


def _abandoned(left: list[Obj]) -> EventDraft:
    names = ", ".join(f"{c['kind']} {c['metadata']['name']}" for c in left)
    message = f"Let go without deleting its claims, whose machines may go on costing money: {names}"
    return EventDraft("Warning", "ClaimsAbandoned", message[:1024])


def _told(raw: Obj, left: list[Obj], detail: str, context: Context) -> dict[str, Any] | None:
    """The status that says why the Workspace does not go."""
    metadata = ObjectMeta.model_validate(raw["metadata"])
    try:
        before = WorkspaceStatus.model_validate(raw.get("status") or {})
    except ValidationError:
        before = WorkspaceStatus()
    claims = ", ".join(f"{c['kind']} {c['metadata']['name']}" for c in left)
    waits = finding(
        "ClaimsRemoved", claims=claims, detail=detail, name=metadata.name, namespace=metadata.namespace
    )
    truth = Assessment(
        waits, instance_type=before.instance_type, plan=before.plan, claims=tuple(before.claims)
    )
    deleting = Condition(
        type=WORKSPACE_DELETING,
        status="True",
        reason=DELETING_REASON,
        message=DELETING_MESSAGE,
        last_transition_time=context.now,
        observed_generation=metadata.generation,
    )
    status = build_status(Workspace(metadata=metadata, status=before), truth, context.now)
    status = status.model_copy(update={"conditions": set_condition(status.conditions, deleting)})
    return status_patch(raw.get("status"), status)
