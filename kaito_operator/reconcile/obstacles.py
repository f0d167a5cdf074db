"""What keeps a child from being applied: another object of its name, or the API server's refusal."""

from dataclasses import dataclass
from datetime import datetime

from kaito_operator.api.labels import ANNOTATION_APPLIED_HASH
from kaito_operator.api.reasons import Finding, finding
from kaito_operator.api.workspace import Workspace
from kaito_operator.manifests.ownership import child_key
from kaito_operator.reconcile import ownership
from kaito_operator.reconcile.observed import Obj, Observed

AGAIN_S = 30.0


@dataclass(frozen=True)
class Obstacle:
    """Why one child is not as it should be.

    Attributes:
        hold: whether the child is not to be applied now.
        retry_after_s: when to try again; None when an event will tell.
    """

    kind: str
    finding: Finding
    hold: bool = True
    retry_after_s: float | None = None


def obstacle(workspace: Workspace, wanted: Obj, observed: Observed, now: datetime) -> Obstacle | None:
    """What keeps `wanted` from existing; None when nothing does."""
    return _other_owner(workspace, wanted, observed) or _refusal(workspace, wanted, observed, now)


def _facts(workspace: Workspace, wanted: Obj) -> dict[str, str]:
    metadata = workspace.metadata
    return {"kind": wanted["kind"], "name": wanted["metadata"]["name"], "namespace": metadata.namespace}


def _other_owner(workspace: Workspace, wanted: Obj, observed: Observed) -> Obstacle | None:
    live = observed.children.get(child_key(wanted, workspace.metadata.name))
    if live is None or ownership.is_owned_by(live, workspace.metadata.uid):
        return None
    # Either is labelled as ours and therefore watched: its deletion brings us back here.
    code = "PreviousRemoved" if ownership.is_left_over(live, workspace.metadata.uid) else "NameConflict"
    return Obstacle(wanted["kind"], finding(code, **_facts(workspace, wanted)))


def _refusal(workspace: Workspace, wanted: Obj, observed: Observed, now: datetime) -> Obstacle | None:
    refusal = observed.refusals.get(child_key(wanted, workspace.metadata.name))
    if refusal is None or refusal.applied_hash != wanted["metadata"]["annotations"][ANNOTATION_APPLIED_HASH]:
        return None
    code = "NameConflict" if refusal.foreign else "WriteRefused"
    found = finding(code, **_facts(workspace, wanted), detail=refusal.message)
    wait = AGAIN_S - (now - refusal.at).total_seconds()
    # Told until a try succeeds; without this the status would turn at each try.
    return Obstacle(wanted["kind"], found, hold=wait > 0, retry_after_s=wait if wait > 0 else AGAIN_S)
