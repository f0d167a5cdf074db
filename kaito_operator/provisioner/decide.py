"""decide(): from a claim and its surroundings to what is to be done. Total, and without I/O or a clock."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from kaito_operator.api.claim_reasons import is_final
from kaito_operator.api.machine import CLAIM_FINALIZER
from kaito_operator.api.meta import format_timestamp
from kaito_operator.provisioner import names
from kaito_operator.provisioner.claims import Claim
from kaito_operator.provisioner.conditions import (
    DONE,
    WAITING,
    Steps,
    conditions,
    failed,
    pending,
    said_the_same,
)
from kaito_operator.provisioner.decision import (
    Action,
    Context,
    Decision,
    DeleteClaim,
    ListenToKubelet,
    ListPools,
    LookAtPool,
    Observed,
    PatchClaim,
    PatchNode,
    WriteStatus,
)
from kaito_operator.provisioner.launch import Progress, as_text, launch, left_s, removal, since_of
from kaito_operator.provisioner.nodes import (
    Node,
    bound_node,
    needs_taints,
    obstacle,
    registration_patch,
    release_patch,
)
from kaito_operator.provisioner.pool import pool_name
from kaito_operator.provisioner.requirements import InvalidClaim, LaunchPlan, launch_plan
from kaito_operator.provisioner.terminate import terminate

_LOOK_S = 5.0  # a Node's deletion is judged by what Azure says now, not by an older answer


@dataclass(frozen=True)
class _Case:
    """One live claim with all that is decided from."""

    claim: Claim
    plan: LaunchPlan | None
    observed: Observed
    context: Context
    node: Node | None


def decide(claim: Claim, observed: Observed, context: Context) -> Decision:
    """What to do for a claim that is ours to serve."""
    if claim.deleted is not None:
        return terminate(claim, observed, context, given_up=is_given_up(claim))
    if is_given_up(claim):
        return _clean_up(claim, observed, context)
    try:
        plan = launch_plan(claim, context.identity.location)
    except InvalidClaim as error:
        if not claim.is_done(0):
            return _refuse(claim, str(error), context)
        plan = None
    if not claim.is_held or claim.launch_began is None:
        return Decision((_hold(claim, context.now),))
    case = _Case(claim, plan, observed, context, bound_node(observed.nodes, claim.status.node_name))
    return _serve(case)


def is_given_up(claim: Claim) -> bool:
    """A step has failed for good; whoever made the claim deletes it and makes another."""
    found = (claim.condition(index) for index in range(3))
    return any(c.get("status") == "False" and is_final(str(c.get("reason") or "")) for c in found)


def _hold(claim: Claim, now: datetime) -> PatchClaim:
    """Finalizer and start of the launch, in one write and before anything is asked of Azure.

    A pool that is made before the finalizer is stored would be orphaned by a claim deleted in between.
    """
    metadata: dict[str, Any] = {"resourceVersion": claim.resource_version}
    if not claim.is_held:
        metadata["finalizers"] = [*claim.finalizers, CLAIM_FINALIZER]
    if claim.launch_began is None:
        metadata["annotations"] = {names.ANNOTATION_LAUNCH_BEGAN: format_timestamp(now)}
    return PatchClaim({"metadata": metadata})


def _refuse(claim: Claim, detail: str, context: Context) -> Decision:
    steps = (failed("ClaimInvalid", detail=detail), WAITING, WAITING)
    return Decision(_status(claim, steps, None, context))


def _clean_up(claim: Claim, observed: Observed, context: Context) -> Decision:
    """A claim that is given up costs nothing: its pool goes, and its nodes are let go of."""
    freed: tuple[Action, ...] = tuple(
        PatchNode(node.name, release_patch(node)) for node in observed.nodes if node.held
    )
    sight = observed.sight
    if not claim.is_held:
        return Decision(freed)  # it never had a pool
    if not sight.known:
        return Decision((*freed, ListPools()), watch_pool=True)
    if sight.pool is None and not sight.current:
        return Decision((*freed, LookAtPool(pool_name(claim))))
    removed = removal(claim, observed, context, ignore_pdb=True)
    return Decision((*freed, *removed.actions), removed.retry_after_s, removed.watch)


def _serve(case: _Case) -> Decision:
    claim, context = case.claim, case.context
    plan = case.plan or LaunchPlan(vm_size="")
    launched = launch(claim, plan, case.observed, context)
    if launched.step is None or launched.step.turn != "done":
        steps = (launched.step, WAITING, WAITING) if launched.step else None
        return _conclude(case, steps, launched)
    progress = registered = _register(case)
    steps = (DONE, registered.step or WAITING, WAITING)
    if registered.step == DONE:
        progress = _initialize(case)
        steps = (DONE, DONE, progress.step or WAITING)
    return _conclude(case, None if progress.step is None else steps, _joined(launched, progress))


def _joined(first: Progress, second: Progress) -> Progress:
    waits = [p.retry_after_s for p in (first, second) if p.retry_after_s is not None]
    actions = (*first.actions, *second.actions)
    return Progress(second.step, actions, min(waits, default=None), first.watch or second.watch)


def _conclude(case: _Case, steps: Steps | None, progress: Progress) -> Decision:
    """Put it in order: a claim that is given up says so first, lest a crash ask for its pool again."""
    claim, context, node = case.claim, case.context, case.node
    leaving, watch = _leaving(case), progress.watch
    status = _status(claim, steps, node, context) if steps else ()
    # Nodes first, since the status tells of them; Azure last, since it may keep the rest waiting.
    on_nodes = tuple(action for action in progress.actions if isinstance(action, PatchNode))
    of_azure = tuple(action for action in progress.actions if not isinstance(action, PatchNode))
    actions: tuple[Action, ...] = (*on_nodes, *status, *leaving.actions, *of_azure)
    if steps is not None and any(step.turn == "failed" and is_final(step.reason) for step in steps):
        removed = removal(claim, case.observed, context, ignore_pdb=True)
        actions, watch = (*status, *removed.actions, *leaving.actions), removed.watch
    retry = _repair_s(case)
    waits = [s for s in (progress.retry_after_s, leaving.retry_after_s, retry) if s is not None]
    if retry is not None and retry <= 0:
        actions = (*actions, DeleteClaim("its node has not been ready for too long"))
        waits = []
    return Decision(actions, min(waits, default=None), watch)


def _register(case: _Case) -> Progress:
    claim, context, node, sight = case.claim, case.context, case.node, case.observed.sight
    pool = pool_name(claim)
    if node is not None:
        return Progress(DONE)
    facts = {"pool": pool}
    if claim.was_initialized:
        stale = sight.age_s > context.budgets.answer  # the pool may have gone with its node
        return Progress(failed("NodeNotFound", **facts), (ListPools(),) if stale else ())
    budget = context.budgets.registration
    left = left_s(since_of(claim, 0, context.now), budget, context.now)
    if left <= 0:
        return Progress(failed("NodeNeverJoined", limit=as_text(budget), **facts))
    hold = context.budgets.fold - sight.settled_s
    if not claim.is_done(0) and hold > 0:
        return Progress(None, retry_after_s=hold)  # the watch of nodes is about to tell of it
    return Progress(pending("NodeNotFound", **facts), retry_after_s=left)


def _initialize(case: _Case) -> Progress:
    """Write what a node of ours carries, and say whether it is usable."""
    claim, context, node = case.claim, case.context, case.node
    if node is None:
        return Progress(WAITING)
    found = obstacle(claim, node)
    marked = node.labels.get(names.LABEL_INITIALIZED) == "true"
    if marked and found is not None and found[0] != "NodeNotReady":
        found = None  # once a node was usable, only its readiness counts
    if found is not None and _about_to_pass(claim, node, found[0], context):
        age = (context.now - node.created).total_seconds() if node.created else 0.0
        return Progress(None, retry_after_s=max(context.budgets.fold - age, 0.1))
    patch = registration_patch(claim, node, case.plan, initialized=found is None or marked)
    actions: tuple[Action, ...] = (PatchNode(node.name, patch),) if patch else ()
    if found is None:
        return Progress(DONE, actions)
    return replace(_not_usable(case, node, *found), actions=actions)


def _not_usable(case: _Case, node: Node, reason: str, detail: str) -> Progress:
    claim, context = case.claim, case.context
    if claim.was_initialized:
        return Progress(failed(reason, node=node.name, detail=detail))
    budget = context.budgets.initialization
    left = left_s(since_of(claim, 1, context.now), budget, context.now)
    if left <= 0:
        return Progress(failed("NodeNotInitialized", node=node.name, limit=as_text(budget), detail=detail))
    return Progress(pending(reason, node=node.name, detail=detail), retry_after_s=left)


_PASSING: Final = frozenset({"NodeNotReady", "KnownEphemeralTaintsExist"})


def _about_to_pass(claim: Claim, node: Node, reason: str, context: Context) -> bool:
    """A node that has just joined is not ready for a moment, and says so by taints a moment longer.

    One write then tells of all of it.
    """
    if node.registered or reason not in _PASSING or needs_taints(claim, node) or node.created is None:
        return False
    return (context.now - node.created).total_seconds() < context.budgets.fold


def _status(claim: Claim, steps: Steps, node: Node | None, context: Context) -> tuple[Action, ...]:
    """The write that brings the status up to date; none when it says the same."""
    entries = conditions(claim, steps, context.now)
    wanted: dict[str, Any] = {"conditions": entries}
    if node is not None and steps[1] == DONE:
        wanted |= {"nodeName": node.name, "providerID": node.provider_id}
    same = (claim.status.node_name, claim.status.provider_id) == (
        wanted.get("nodeName", claim.status.node_name),
        wanted.get("providerID", claim.status.provider_id),
    )
    if same and said_the_same(claim.conditions, entries):
        return ()
    if node is not None and steps[2] == DONE:
        wanted |= _offered(node.obj.get("status") or {})
    return (WriteStatus(wanted),)


def _offered(status: Mapping[str, Any]) -> dict[str, Any]:
    """Amounts of the node. Also what says for ever after that the node was usable once."""
    allocatable = status.get("allocatable") or {"pods": "0"}
    return {"capacity": dict(status.get("capacity") or {}), "allocatable": dict(allocatable)}


def _leaving(case: _Case) -> Progress:
    """Nodes that somebody deletes while their claim lives.

    Upgrades, evictions and repairs of Azure's delete Nodes too; those are let go, and the claim stays. A Node
    that is well and alone on a pool that stands, and whose kubelet goes on speaking, was deleted by a person,
    who means the machine: the claim goes with it, which drains the node first.
    """
    actions: list[Action] = []
    waits: list[float] = []
    for node in case.observed.nodes:
        if node.deleted is None or not node.held:
            continue
        left = left_s(node.deleted, case.context.budgets.farewell, case.context.now)
        if not _may_be_meant(case, node):
            actions.append(PatchNode(node.name, release_patch(node)))
        elif left > 0:
            waits.append(left)
        else:
            actions.append(_judged(case, node, node.deleted))
    return Progress(None, tuple(actions), min(waits, default=None))


def _may_be_meant(case: _Case, node: Node) -> bool:
    """A person may have deleted this Node: nothing else explains its going."""
    pool = case.observed.sight.pool
    stands = pool.is_settled if pool is not None else not case.observed.sight.known
    return len(case.observed.nodes) == 1 and node.ready and stands and case.observed.alive.get(node.uid, True)


def _judged(case: _Case, node: Node, deleted: datetime) -> Action:
    if case.observed.sight.age_s > _LOOK_S or not case.observed.sight.known:
        return LookAtPool(pool_name(case.claim))
    if node.uid not in case.observed.alive:
        return ListenToKubelet(node.name, node.uid, deleted)
    return DeleteClaim("its Node was deleted")


def _repair_s(case: _Case) -> float | None:
    """Seconds until the claim is deleted because its node stays unready; None when it never is."""
    node, budget = case.node, case.context.budgets.repair
    if budget is None or node is None or node.ready or not case.claim.was_initialized:
        return None
    exempt = names.ANNOTATION_NO_REPAIR in {
        *case.claim.annotations,
        *(node.obj["metadata"].get("annotations") or {}),
    }
    if exempt:
        return None
    left = left_s(node.ready_since or case.context.now, budget, case.context.now)
    return left if left > 0 or case.observed.may_repair else 60.0
