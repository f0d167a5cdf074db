"""The nodes of one Workspace: which it may use, which are added for it, and how far those are."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from kaito_operator.api import labels
from kaito_operator.api.reasons import Finding
from kaito_operator.api.status import ClaimRecord
from kaito_operator.api.workspace import ResourceSpec, Workspace
from kaito_operator.manifests.scheduling import EXISTING_ONLY, NodeSource
from kaito_operator.planner.plan import Plan, plan_workspace
from kaito_operator.reconcile.attempts import Ground
from kaito_operator.reconcile.claim import read_claim
from kaito_operator.reconcile.claim_findings import nothing_to_ask_for, tell_nodes
from kaito_operator.reconcile.claims import ClaimsStep, step_claims
from kaito_operator.reconcile.context import Context
from kaito_operator.reconcile.decision import earliest
from kaito_operator.reconcile.demand import demand, usable_existing
from kaito_operator.reconcile.observed import Obj, Observed

SETTLE_S = 0.1
"""Until the next look once an attempt is stored. Not at once: a definition of Workspace older than the
operator drops what it does not know, and then this would never end."""


@dataclass(frozen=True)
class Provision:
    """What is to be done about nodes, and what is to be told of them.

    Attributes:
        step: nothing to do where no nodes are added.
        finding: what the added nodes wait for; None when there is nothing to wait for.
        missing: added nodes that are not usable yet; None where no nodes are added.
        again_in_s: when to look again though nothing happens.
    """

    step: ClaimsStep = field(default_factory=ClaimsStep)
    finding: Finding | None = None
    missing: int | None = None
    again_in_s: float | None = None


def effective_plan(workspace: Workspace, observed: Observed, context: Context) -> Plan:
    """The plan for the instance type that is in use: chosen earlier, it stays, whatever is cheapest today."""
    plan = plan_workspace(workspace, context.catalog, context.runtime)
    resource = workspace.resource or ResourceSpec()
    in_use = _type_in_use(workspace, observed)
    if (
        context.runtime.provisioning == "none"
        or resource.instance_type
        or in_use in (None, plan.instance_type)
    ):
        return plan
    named = workspace.model_copy(update={"resource": resource.model_copy(update={"instance_type": in_use})})
    return replace(plan_workspace(named, context.catalog, context.runtime), candidates=plan.candidates)


def _type_in_use(workspace: Workspace, observed: Observed) -> str | None:
    records: list[ClaimRecord] = workspace.status.claims if workspace.status else []
    if records:
        return records[0].instance_type
    types = [read_claim(obj).instance_type for obj in observed.claims]
    return next((t for t in types if t), None)


def node_source(
    workspace: Workspace, plan: Plan, observed: Observed, context: Context, workload: Obj | None
) -> NodeSource:
    """Which nodes the pods may use. Decided when the workload is first made: a change would roll the pods."""
    if context.runtime.provisioning == "none":
        return EXISTING_ONLY
    decided: Mapping[str, str] = (workload or {}).get("metadata", {}).get("annotations", {})
    if labels.ANNOTATION_EXISTING_NODES in decided:
        return NodeSource(claimed=True, existing=decided[labels.ANNOTATION_EXISTING_NODES] == "true")
    return NodeSource(claimed=True, existing=bool(usable_existing(workspace, plan, observed.nodes)))


def provision(
    workspace: Workspace, plan: Plan, source: NodeSource, observed: Observed, context: Context
) -> Provision:
    """The step of the Workspace's claims; empty where no nodes are added."""
    if not source.claimed:
        return Provision()
    wanted = demand(workspace, plan, observed, context.now, existing=source.existing)
    if plan.instance_type is None and wanted.claims and not observed.claims:
        rejected = [f"{r.instance_type}: {r.reason}" for r in plan.places.rejected] if plan.places else []
        finding = nothing_to_ask_for(workspace, plan, plan.replicas, rejected)
        return Provision(finding=finding, missing=wanted.claims, again_in_s=wanted.again_in_s)
    ground = Ground(
        workspace=workspace,
        plan=plan,
        observed=observed,
        runtime=context.runtime,
        now=context.now,
        instance_type=plan.instance_type or "",
        successors=_successors(plan, observed, context),
        gpus={name: row.gpus for name, row in context.catalog.instance_types.items()},
        wanted=wanted.claims,
    )
    step = step_claims(ground)
    told = tell_nodes(workspace, plan, step, observed, context.runtime, context.now)
    again = earliest(step.again_in_s, told.again_in_s, wanted.again_in_s)
    return Provision(step, told.finding, told.missing, SETTLE_S if step.settle else again)


def _successors(plan: Plan, observed: Observed, context: Context) -> tuple[str, ...]:
    """Types to try in turn. Once a node runs, only those with the same pods: there is one template."""
    if not any(read_claim(obj).launched for obj in observed.claims) or plan.places is None:
        return plan.candidates
    pods = {place.instance_type: (place.gpus_per_pod, place.dtype) for place in plan.places.fitting}
    own = plan.gpus_per_pod, plan.dtype
    return tuple(t for t in plan.candidates if pods.get(t, own) == own)
