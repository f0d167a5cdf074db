"""decide(workspace, observed, context) -> Decision: the whole operator in one pure function.

It reads like the life of a Workspace: parse, delete, check against the catalog, plan, render, compare,
diagnose, tell. Any input gives a Decision; what cannot be served becomes a status that says why.
"""

from collections.abc import Sequence
from dataclasses import replace

from pydantic import ValidationError

from kaito_operator.api import labels
from kaito_operator.api.conditions import MACHINE_READY, NODE_CLAIM_READY
from kaito_operator.api.meta import ObjectMeta
from kaito_operator.api.reasons import Finding, finding
from kaito_operator.api.status import WorkspaceStatus
from kaito_operator.api.workspace import ResourceSpec, Workspace
from kaito_operator.manifests.adapters import takes_adapters, wanted_adapters
from kaito_operator.manifests.render import Decided, render
from kaito_operator.manifests.weights import delivery
from kaito_operator.planner.status import plan_status
from kaito_operator.planner.validate import Problem, validate
from kaito_operator.reconcile import nodes
from kaito_operator.reconcile.adapter_status import Scene, adapter_statuses
from kaito_operator.reconcile.adapters import decide_in_pod, questions
from kaito_operator.reconcile.assess import assess, has_older, replicas_of, stuck_pods, surroundings
from kaito_operator.reconcile.children import apply_children
from kaito_operator.reconcile.context import Context
from kaito_operator.reconcile.decision import Decision, earliest
from kaito_operator.reconcile.deletion import decide_deletion
from kaito_operator.reconcile.diagnosis import overdue_in_s
from kaito_operator.reconcile.group import old_group
from kaito_operator.reconcile.looks import due_looks
from kaito_operator.reconcile.observed import Obj, Observed
from kaito_operator.reconcile.provision import Provision, effective_plan, node_source, provision
from kaito_operator.reconcile.status import AddedNodes, Assessment, build_status, status_patch, transitions
from kaito_operator.settings import RuntimeSettings

__all__ = ["Context", "decide"]

IMAGE_VOLUMES_SINCE = (1, 35)


def decide(raw: Obj, observed: Observed, context: Context) -> Decision:
    """The next step of one Workspace.

    Args:
        raw: the Workspace as the API server gives it.
        observed: its surroundings.
        context: catalog, installation and time.
    """
    if "deletionTimestamp" in raw["metadata"]:
        return decide_deletion(raw, observed, context)
    told = _readable_status(raw)
    try:
        workspace = Workspace.model_validate({**raw, "status": told})
    except ValidationError as error:
        unreadable = Workspace(metadata=ObjectMeta.model_validate(raw["metadata"]), status=told)
        return _tell(unreadable, raw, _unserved(told, _invalid(error)), context)
    problems = validate(workspace, context.catalog, context.runtime)
    if problems:
        return _tell(workspace, raw, _unserved(told, _problem(problems)), context)
    return _serve(workspace, raw, observed, context)


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


def _unserved(told: WorkspaceStatus | None, found: Finding) -> Assessment:
    """Nothing is done; the nodes that are asked for stay known, since their claims stay."""
    claims, adapters = (told.claims, told.adapters) if told else ((), ())
    return Assessment(found, claims=tuple(claims), adapters=tuple(adapters))


def _serve(workspace: Workspace, raw: Obj, observed: Observed, context: Context) -> Decision:
    plan = effective_plan(workspace, observed, context)
    workload = observed.children.get("StatefulSet" if plan.distributed else "Deployment")
    source = node_source(workspace, plan, observed, context, workload)
    way = delivery(plan, image_volumes=_image_volumes(workspace, workload, observed, context.runtime))
    wanted = wanted_adapters(workspace) if takes_adapters(plan) else ()
    in_pod = decide_in_pod(wanted, observed, workload)
    decided = Decided(way, source, in_pod.names, in_pod.given_up or {})
    rendered = render(workspace, plan, decided, context.runtime)
    nodes_step = provision(workspace, plan, source, observed, context)
    around = surroundings(workspace, plan, observed, source, context.now)
    truth = assess(workspace, plan, plan_status(plan, way), rendered, around, observed, nodes_step.finding)
    replicas = replicas_of(observed, rendered.template_hash)
    ready, rolling = replicas.ready, has_older(replicas, rendered.template_hash)
    told = {a.name: a for a in workspace.status.adapters} if workspace.status else {}
    scene = Scene(workspace.metadata, in_pod, rendered.adapters_generation, told, ready, rolling, observed)
    truth = replace(truth, claims=nodes_step.step.records, nodes=_added_nodes(nodes_step, context.runtime))
    truth = replace(truth, adapters=adapter_statuses(wanted, scene))
    children = apply_children(workspace, rendered, observed, context.now)
    if children.finding is not None:
        truth = replace(truth, finding=children.finding)
    stuck = stuck_pods(observed, rendered)
    looks = due_looks(stuck, observed, context.now)
    asked = questions(wanted, rendered.adapters_generation, ready, observed, context.now)
    overdue = overdue_in_s(stuck, plan.timing.limit_s, context.now)
    again = (asked.again_in_s, looks.next_in_s, overdue, children.again_in_s, nodes_step.again_in_s)
    step = Decision(
        finalizers=_finalizers(raw, nodes_step, observed),
        create=nodes_step.step.create,
        apply=children.apply,
        touch=asked.touch,
        delete=(*nodes_step.step.delete, *old_group(plan, observed, rendered.template_hash)),
        look_at=looks.now,
        ask=asked.ask,
        retry_after_s=earliest(*again),
    )
    return _tell(workspace, raw, truth, context, step)


def _finalizers(raw: Obj, nodes_step: Provision, observed: Observed) -> tuple[str, ...] | None:
    """Ours is there only because claims are cluster-scoped and so cannot go with their Workspace."""
    present = tuple(raw["metadata"].get("finalizers", ()))
    if labels.FINALIZER in present or not (nodes_step.step.create or observed.claims):
        return None
    return (*present, labels.FINALIZER)


def _added_nodes(nodes_step: Provision, runtime: RuntimeSettings) -> AddedNodes | None:
    if nodes_step.missing is None:
        return None
    kind = MACHINE_READY if runtime.provisioning == "machine" else NODE_CLAIM_READY
    return AddedNodes(kind, nodes_step.missing, nodes_step.finding)


def _image_volumes(
    workspace: Workspace, workload: Obj | None, observed: Observed, runtime: RuntimeSettings
) -> bool:
    """Whether this Workspace's images are mounted. Decided once, so that a new node cannot roll the pods."""
    if runtime.image_volumes != "auto":
        return runtime.image_volumes == "on"
    decided = (workload or {}).get("metadata", {}).get("annotations", {})
    if way := decided.get(labels.ANNOTATION_WEIGHTS_FROM):
        return bool(way == "image")
    if runtime.provisioning != "none":
        return False  # of a node that is still to come nobody knows what it runs
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
