"""decide(workspace, observed, context) -> Decision: the whole operator in one pure function.

It reads like the life of a Workspace: parse, delete, check against the catalog, plan, render, compare,
diagnose, tell. Any input gives a Decision; what cannot be served becomes a status that says why.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import ValidationError

from kaito_operator.api import labels
from kaito_operator.api.meta import ObjectMeta
from kaito_operator.api.reasons import Finding, finding
from kaito_operator.api.status import WorkspaceStatus
from kaito_operator.api.workspace import ResourceSpec, Workspace
from kaito_operator.manifests.render import render
from kaito_operator.manifests.weights import delivery
from kaito_operator.planner.plan import plan_workspace
from kaito_operator.planner.validate import Problem, validate
from kaito_operator.reconcile import nodes
from kaito_operator.reconcile.assess import assess, plan_status, stuck_pods
from kaito_operator.reconcile.decision import Decision, earliest
from kaito_operator.reconcile.diagnosis import overdue_in_s
from kaito_operator.reconcile.drift import needs_apply
from kaito_operator.reconcile.looks import due_looks
from kaito_operator.reconcile.observed import Obj, Observed
from kaito_operator.reconcile.obstacles import obstacle
from kaito_operator.reconcile.status import Assessment, build_status, status_patch, transitions
from kaito_operator.settings import RuntimeSettings
from presets.catalog import Catalog

IMAGE_VOLUMES_SINCE = (1, 35)


@dataclass(frozen=True)
class Context:
    """What is the same for all Workspaces."""

    catalog: Catalog
    runtime: RuntimeSettings
    now: datetime


def decide(raw: Obj, observed: Observed, context: Context) -> Decision:
    """The next step of one Workspace.

    Args:
        raw: the Workspace as the API server gives it.
        observed: its surroundings.
        context: catalog, installation and time.
    """
    if "deletionTimestamp" in raw["metadata"]:
        return _delete(raw)
    told = _readable_status(raw)
    try:
        workspace = Workspace.model_validate({**raw, "status": told})
    except ValidationError as error:
        unreadable = Workspace(metadata=ObjectMeta.model_validate(raw["metadata"]), status=told)
        return _tell(unreadable, raw, Assessment(_invalid(error)), context)
    problems = validate(workspace, context.catalog)
    if problems:
        return _tell(workspace, raw, Assessment(_problem(problems)), context)
    return _serve(workspace, raw, observed, context)


def _delete(raw: Obj) -> Decision:
    """Children go with their owner; our finalizer is only on objects that an older version stored."""
    finalizers = raw["metadata"].get("finalizers", ())
    if labels.FINALIZER not in finalizers:
        return Decision()
    return Decision(finalizers=tuple(f for f in finalizers if f != labels.FINALIZER))


def _readable_status(raw: Obj) -> WorkspaceStatus | None:
    """The status as it was told; None when another wrote what nobody can read, so that it is told anew."""
    try:
        return WorkspaceStatus.model_validate(raw.get("status") or {})
    except ValidationError:
        return None


def _invalid(error: ValidationError) -> Finding:
    details = [f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in error.errors()]
    return finding("InvalidSpec", detail="; ".join(details[:5]))


def _problem(problems: Sequence[Problem]) -> Finding:
    """The first problem as the finding; it is the one to be cured first."""
    return finding(problems[0].reason, **problems[0].facts)


def _serve(workspace: Workspace, raw: Obj, observed: Observed, context: Context) -> Decision:
    plan = plan_workspace(workspace, context.catalog, context.runtime)
    way = delivery(plan, image_volumes=_image_volumes(workspace, observed, context.runtime))
    rendered = render(workspace, plan, way, context.runtime)
    truth = assess(workspace, plan, plan_status(plan, way), rendered, observed, context.now)
    obstacles = tuple(o for obj in rendered.objects if (o := obstacle(workspace, obj, observed, context.now)))
    if obstacles:
        truth = replace(truth, finding=obstacles[0].finding)
    held_back = {o.kind for o in obstacles if o.hold}
    apply = tuple(
        obj
        for obj in rendered.objects
        if obj["kind"] not in held_back
        and needs_apply(obj, observed.children.get(obj["kind"]), observed.spellings.get(obj["kind"]))
    )
    stuck = stuck_pods(observed, rendered)
    looks = due_looks(stuck, observed, context.now)
    again = earliest(
        looks.next_in_s,
        overdue_in_s(stuck, plan.timing.limit_s, context.now),
        *(o.retry_after_s for o in obstacles),
    )
    step = Decision(apply=apply, look_at=looks.now, retry_after_s=again)
    return _tell(workspace, raw, truth, context, step)


def _image_volumes(workspace: Workspace, observed: Observed, runtime: RuntimeSettings) -> bool:
    """Whether this Workspace's images are mounted. Decided once, so that a new node cannot roll the pods."""
    if runtime.image_volumes != "auto":
        return runtime.image_volumes == "on"
    decided = observed.children.get("Deployment", {}).get("metadata", {}).get("annotations", {})
    if way := decided.get(labels.ANNOTATION_WEIGHTS_FROM):
        return bool(way == "image")
    resource = workspace.resource or ResourceSpec()
    selector = resource.label_selector.as_labels() if resource.label_selector else {}
    usable = nodes.matching_nodes(observed.nodes, selector, resource.instance_type)
    return (
        observed.cluster.version >= IMAGE_VOLUMES_SINCE
        and bool(usable)
        and all(nodes.runs_image_volumes(node) for node in usable)
    )


def _tell(
    workspace: Workspace, raw: Obj, truth: Assessment, context: Context, step: Decision | None = None
) -> Decision:
    """The step, with the status and the Events that tell of `truth`; no status when it is told already."""
    status = build_status(workspace, truth, context.now)
    patch = status_patch(raw.get("status"), status)
    events = transitions(workspace, status) if patch is not None else ()
    return replace(step or Decision(), status=patch, events=events)
