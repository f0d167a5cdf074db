"""Which children are to be applied now, and what keeps the others from it."""

from dataclasses import dataclass
from datetime import datetime

from kaito_operator.api.reasons import Finding
from kaito_operator.api.workspace import Workspace
from kaito_operator.manifests.ownership import child_key
from kaito_operator.manifests.render import Rendered
from kaito_operator.reconcile.decision import earliest
from kaito_operator.reconcile.drift import needs_apply
from kaito_operator.reconcile.observed import Obj, Observed
from kaito_operator.reconcile.obstacles import obstacle


@dataclass(frozen=True)
class Children:
    """What is to be done about the rendered objects.

    Attributes:
        apply: those that differ from what is there.
        finding: what keeps one of them from being as it should; None when nothing does.
        again_in_s: when to try again.
    """

    apply: tuple[Obj, ...]
    finding: Finding | None
    again_in_s: float | None


def _differs(wanted: Obj, owner: str, observed: Observed) -> bool:
    key = child_key(wanted, owner)
    return needs_apply(wanted, observed.children.get(key), observed.spellings.get(key))


def apply_children(workspace: Workspace, rendered: Rendered, observed: Observed, now: datetime) -> Children:
    """Compare what is rendered with what is there."""
    name = workspace.metadata.name
    obstacles = {
        child_key(obj, name): o for obj in rendered.objects if (o := obstacle(workspace, obj, observed, now))
    }
    apply = tuple(
        obj
        for obj in rendered.objects
        if not ((o := obstacles.get(child_key(obj, name))) and o.hold) and _differs(obj, name, observed)
    )
    first = next(iter(obstacles.values()), None)
    return Children(
        apply, first.finding if first else None, earliest(*(o.retry_after_s for o in obstacles.values()))
    )
