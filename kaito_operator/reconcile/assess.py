"""From what is observed to what is true: is each replica on a node, does each answer, and if not, why."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from kaito_operator.api.labels import LABEL_INSTANCE_TYPE
from kaito_operator.api.reasons import Finding, Phase, finding, worst
from kaito_operator.api.status import PlanStatus
from kaito_operator.api.workspace import ResourceSpec, Workspace
from kaito_operator.manifests.render import Rendered
from kaito_operator.manifests.scheduling import NodeSource
from kaito_operator.planner.plan import Plan
from kaito_operator.reconcile import nodes, pods
from kaito_operator.reconcile.demand import belongs_to
from kaito_operator.reconcile.diagnosis import Expectations, Surroundings, diagnose_pod
from kaito_operator.reconcile.group import told_by_group
from kaito_operator.reconcile.observed import Obj, Observed
from kaito_operator.reconcile.status import Assessment
from kaito_operator.reconcile.workload import diagnose_workload

# What the scheduler says of a node whose room a pod that is on its way out still takes.
_NO_ROOM = frozenset({"InsufficientGpu", "InsufficientMemory", "InsufficientCpu"})


_Role = Literal["ready", "waiting", "ended", "older", "leaving"]


@dataclass(frozen=True)
class Replicas:
    """The pods of one workload, sorted by what they mean.

    Attributes:
        ready: of the present template, and they answer.
        waiting: of the present template, and they do not answer yet.
        ended: of the present template; they have ended for good, as evicted ones.
        older: of earlier templates, and not ended.
        leaving: being deleted, on a node that is well; they take their room until they are gone.
    """

    ready: tuple[Obj, ...]
    waiting: tuple[Obj, ...]
    ended: tuple[Obj, ...]
    older: tuple[Obj, ...]
    leaving: tuple[Obj, ...]

    @property
    def current(self) -> tuple[Obj, ...]:
        """Of the present template, and not ended."""
        return (*self.ready, *self.waiting)


def replicas_of(observed: Observed, template_hash: str) -> Replicas:
    """Sort the Workspace's pods."""
    lost = frozenset(str(n["metadata"]["name"]) for n in observed.nodes if not nodes.is_ready(n))
    groups: dict[_Role, list[Obj]] = {role: [] for role in get_args(_Role)}
    for pod in observed.pods:
        if pods.is_of_a_workload(pod) and (role := _role(pod, template_hash, lost)):
            groups[role].append(pod)
    return Replicas(**{role: tuple(group) for role, group in groups.items()})


def has_older(replicas: Replicas, template_hash: str) -> bool:
    """Say whether pods of an earlier template may still answer, those that leave included."""
    return bool(replicas.older) or any(not pods.is_current(pod, template_hash) for pod in replicas.leaving)


def _role(pod: Obj, template_hash: str, lost_nodes: frozenset[str]) -> _Role | None:
    """What the pod means; None when it means nothing any more."""
    # A lost node's pods keep their last word for minutes.
    on_lost_node = pods.node_of(pod) in lost_nodes
    if pods.is_leaving(pod):
        return "leaving" if pods.node_of(pod) and not on_lost_node else None
    if not pods.is_current(pod, template_hash):
        return None if pods.is_finished(pod) else "older"
    if pods.is_finished(pod):
        return "ended"
    return "ready" if pods.is_ready(pod) and not on_lost_node else "waiting"


def assess(  # noqa: PLR0913, PLR0917 - as _finding
    workspace: Workspace,
    plan: Plan,
    plan_status: PlanStatus,
    rendered: Rendered,
    around: Surroundings,
    observed: Observed,
    added: Finding | None = None,
) -> Assessment:
    """What is true of a Workspace whose children are rendered.

    `added` is what the nodes wait for that are being added for it; None when none are, or all are there.
    """
    replicas = replicas_of(observed, rendered.template_hash)
    used = sorted({pods.node_of(p) for p in (*replicas.current, *replicas.older)} - {""})
    placed = [p for p in replicas.current if _is_placed(p, around)]
    return Assessment(
        finding=_finding(workspace, plan, replicas, observed, around, added),
        resource_ready=len(placed) >= plan.replicas,
        worker_nodes=tuple(used),
        instance_type=plan.instance_type or _instance_type(workspace, used, around),
        plan=plan_status,
        expected=_expected(plan),
    )


def surroundings(
    workspace: Workspace, plan: Plan, observed: Observed, source: NodeSource, now: datetime
) -> Surroundings:
    """What the diagnosis may look at."""
    resource = workspace.resource or ResourceSpec()
    selector = resource.label_selector.as_labels() if resource.label_selector else {}
    candidates = [n for n in observed.nodes if source.claimed and belongs_to(n, workspace.metadata)]
    if source.existing:
        candidates += nodes.matching_nodes(observed.nodes, selector, resource.instance_type)
    return Surroundings(
        namespace=workspace.metadata.namespace,
        selector=selector,
        instance_type=resource.instance_type,
        candidates=tuple(candidates),
        by_name={str(n["metadata"]["name"]): n for n in observed.nodes},
        gpus=plan.gpus_per_pod,
        expected=Expectations(plan.timing.start_s, plan.timing.load_s, plan.timing.limit_s),
        now=now,
    )


def stuck_pods(observed: Observed, rendered: Rendered) -> Sequence[Obj]:
    """The pods of the present template that are not ready."""
    return replicas_of(observed, rendered.template_hash).waiting


def _finding(
    workspace: Workspace,
    plan: Plan,
    replicas: Replicas,
    observed: Observed,
    around: Surroundings,
    added: Finding | None,
) -> Finding | None:
    if len(replicas.ready) >= plan.replicas and not replicas.older:
        return None
    trouble = _missing_pods(workspace, plan, replicas, observed)
    if trouble and not replicas.current:
        return trouble
    # A pod that has ended says nothing once others have taken its place.
    told = replicas.waiting if replicas.current else replicas.ended
    if added is not None:
        # While nodes are on their way, that a pod has none is no news.
        told = tuple(p for p in told if pods.node_of(p))
    said = (diagnose_pod(pod, observed.pod_events.get(pod["metadata"]["uid"]), around) for pod in told)
    found = [told_by_group(f, plan, f"{plan.timing.load_s} s") for f in said]
    if added is not None:
        return worst([added, *(f for f in (*found, trouble) if f and f.blocked)])
    soon = [f for f in found if replicas.leaving and f.reason.code in _NO_ROOM]
    blocked = [f for f in found if f.blocked and f not in soon]
    if blocked or trouble:
        return worst(blocked) if blocked else trouble
    # Of a group no part answers alone: what the others wait for is what all wait for.
    if replicas.older or soon or (replicas.ready and not plan.is_group):
        return finding(
            "RollingOut",
            ready=str(len(replicas.ready)),
            wanted=str(plan.replicas),
            name=workspace.metadata.name,
            namespace=workspace.metadata.namespace,
        )
    return worst(found) if found else finding("PodScheduling")


def _missing_pods(workspace: Workspace, plan: Plan, replicas: Replicas, observed: Observed) -> Finding | None:
    """Why there are fewer pods than wanted, as far as the Deployment knows."""
    workload = observed.children.get("StatefulSet" if plan.distributed else "Deployment")
    if workload is None or len(replicas.current) >= plan.replicas:
        return None
    return diagnose_workload(workload, workspace.metadata.namespace, workspace.metadata.name)


def _is_placed(pod: Obj, around: Surroundings) -> bool:
    node = around.by_name.get(pods.node_of(pod))
    return bool(pods.node_of(pod)) and (node is None or nodes.is_ready(node))


def _instance_type(workspace: Workspace, used: Sequence[str], around: Surroundings) -> str | None:
    """Asked for, or else what the nodes in use are."""
    if workspace.resource and workspace.resource.instance_type:
        return workspace.resource.instance_type
    for name in used:
        if own := around.by_name.get(name, {}).get("metadata", {}).get("labels", {}).get(LABEL_INSTANCE_TYPE):
            return str(own)
    return None


def _expected(plan: Plan) -> dict[Phase, int]:
    """Planned seconds by phase; none for a template, of which nothing is known."""
    timing = plan.timing
    phases: dict[Phase, int] = {
        "Launching": timing.provisioning_s,
        "Scheduling": timing.scheduling_s,
        "Starting": timing.start_s,
        "Loading": timing.load_s,
    }
    return {phase: seconds for phase, seconds in phases.items() if seconds}
