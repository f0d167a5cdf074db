"""How many nodes have to be added for a Workspace: those that exist are used first."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from kaito_operator.api import labels
from kaito_operator.api.meta import ObjectMeta
from kaito_operator.api.workspace import ResourceSpec, Workspace
from kaito_operator.planner.plan import Plan
from kaito_operator.reconcile import nodes, pods
from kaito_operator.reconcile.observed import Obj, Observed

UNSCHEDULABLE_GRACE_S = 15.0
"""A pod that finds no room for so long asks for a node. A pod that goes makes room within seconds, and a
machine costs money."""


@dataclass(frozen=True)
class Demand:
    """Nodes to be added.

    Attributes:
        claims: how many claims are to be there.
        again_in_s: when a pod may have waited long enough to raise it; None when none may.
    """

    claims: int
    again_in_s: float | None = None


def usable_existing(workspace: Workspace, plan: Plan, all_nodes: Iterable[Obj]) -> list[Obj]:
    """Nodes that were there before and will do, by name; none where the user gave no labels to know them by.

    Another Workspace's nodes are no nodes of ours: they go when it goes.
    """
    resource = workspace.resource or ResourceSpec()
    selector = resource.label_selector.as_labels() if resource.label_selector else {}
    if not selector:
        return []
    matching = nodes.matching_nodes(all_nodes, selector, resource.instance_type)
    return [node for node in matching if _is_usable(node, plan.gpus_per_pod)]


def _is_usable(node: Obj, gpus: int) -> bool:
    claimed = labels.LABEL_WORKSPACE in node["metadata"].get("labels", {})
    return (
        not claimed and nodes.is_ready(node) and not nodes.is_cordoned(node) and nodes.gpus_of(node) >= gpus
    )


def belongs_to(node: Obj, owner: ObjectMeta) -> bool:
    """True for a node that was added for this Workspace."""
    own: Mapping[str, str] = node["metadata"].get("labels", {})
    return (
        own.get(labels.LABEL_WORKSPACE) == owner.name
        and own.get(labels.LABEL_WORKSPACE_NAMESPACE) == owner.namespace
    )


def demand(workspace: Workspace, plan: Plan, observed: Observed, now: datetime, *, existing: bool) -> Demand:
    """The number of claims that are to be there now.

    Where the pods may use nodes that exist, the scheduler says whether those have room: a pod that it calls
    unschedulable is what asks for a node.
    """
    if not existing:
        return Demand(plan.replicas)
    ours = {str(n["metadata"]["name"]) for n in observed.nodes if belongs_to(n, workspace.metadata)}
    staying = [p for p in observed.pods if pods.is_staying(p)]
    taken = [pods.node_of(p) for p in staying if pods.node_of(p)]
    elsewhere = sum(node not in ours for node in taken)
    room, again = _room(workspace, plan, observed, staying, now)
    open_places = max(plan.replicas - len(taken), 0)
    claims = plan.replicas - elsewhere - min(open_places, room)
    # What was asked for stays until its pod is elsewhere: a pod that is made anew has no place for a moment.
    asked = min(_asked(workspace, observed), plan.replicas - elsewhere)
    return Demand(max(claims, asked, 0), again)


def _asked(workspace: Workspace, observed: Observed) -> int:
    """How many nodes are asked for already; by the claims where the status was not stored."""
    if workspace.status and workspace.status.claims:
        return len(workspace.status.claims)
    return sum("deletionTimestamp" not in claim["metadata"] for claim in observed.claims)


def _room(
    workspace: Workspace, plan: Plan, observed: Observed, staying: Sequence[Obj], now: datetime
) -> tuple[int, float | None]:
    """(nodes that exist and have room, seconds until a pod has waited long enough to say that none has)."""
    taken = {pods.node_of(p) for p in staying}
    spare = [
        n for n in usable_existing(workspace, plan, observed.nodes) if n["metadata"]["name"] not in taken
    ]
    if _is_about_to_make_room(observed):
        return len(spare), None
    waited = [(now - since).total_seconds() for p in staying if (since := pods.unschedulable_since(p))]
    if not waited:
        return len(spare), None
    left = UNSCHEDULABLE_GRACE_S - max(waited)
    return (len(spare), left) if left > 0 else (0, None)


def _is_about_to_make_room(observed: Observed) -> bool:
    """True while a pod of ours is leaving; one on a lost node may do so for ever."""
    ready = {str(n["metadata"]["name"]) for n in observed.nodes if nodes.is_ready(n)}
    return any(
        pods.is_of_a_workload(p) and pods.is_leaving(p) and pods.node_of(p) in ready for p in observed.pods
    )
