"""The end of a claim: drain its node, delete its pool, and let go of it only when Azure says 404."""

from kaito_operator.api.claim_reasons import CLAIM_REASONS
from kaito_operator.api.machine import CLAIM_FINALIZER
from kaito_operator.provisioner.claims import Claim
from kaito_operator.provisioner.conditions import WAITING, Step, Steps, conditions, pending, said_the_same
from kaito_operator.provisioner.decision import (
    Action,
    Context,
    Decision,
    DeleteNode,
    DrainNode,
    ListPools,
    LookAtPool,
    Observed,
    PatchClaim,
    PatchNode,
    WriteStatus,
)
from kaito_operator.provisioner.launch import left_s, removal, stored_step
from kaito_operator.provisioner.nodes import Node, drain_patch, release_patch
from kaito_operator.provisioner.pool import belongs_to, pool_name

_DRAIN_LOOK_S = 1.0
_TELL_S = 30.0


def terminate(claim: Claim, observed: Observed, context: Context, *, given_up: bool) -> Decision:
    """What to do for a claim with a deletionTimestamp."""
    if not claim.is_held:
        return Decision()
    told = _trouble(claim, observed, context, given_up=given_up)
    sight = observed.sight
    if not sight.known:
        return Decision((*told, ListPools()), watch_pool=True)
    pool = sight.pool
    if pool is None:
        return _gone(claim, observed, context, told)
    if not belongs_to(pool, claim, context.identity):
        return Decision((*_freed(observed.nodes), _release(claim)))
    cordoned = _cordoned(observed.nodes)
    left = _drain_left_s(claim, context)
    if not pool.is_deleting and not given_up and left > 0:
        waiting = [n for n in observed.nodes if n.ready and n.uid not in observed.drained]
        if waiting:
            drains: tuple[Action, ...] = tuple(DrainNode(node.name, node.uid) for node in waiting)
            slow = _slow_drain(claim, waiting[0], context)
            return Decision((*cordoned, *slow, *drains), min(_DRAIN_LOOK_S, left))
    removed = removal(claim, observed, context, ignore_pdb=given_up or left <= 0)
    return Decision((*cordoned, *removed.actions, *told), removed.retry_after_s, removed.watch)


def _slow_drain(claim: Claim, node: Node, context: Context) -> tuple[Action, ...]:
    """A drain that takes long is told; one that does not needs no write."""
    if claim.deleted is None or (context.now - claim.deleted).total_seconds() < _TELL_S:
        return ()
    told = pending("NodeDraining", node=node.name)
    return _told(claim, (stored_step(claim, 0) or WAITING, stored_step(claim, 1) or WAITING, told), context)


def _told(claim: Claim, steps: Steps, context: Context) -> tuple[Action, ...]:
    entries = conditions(claim, steps, context.now)
    return () if said_the_same(claim.conditions, entries) else (WriteStatus({"conditions": entries}),)


def _drain_left_s(claim: Claim, context: Context) -> float:
    budget = context.budgets.drain if claim.grace_s is None else claim.grace_s
    return left_s(claim.deleted, budget, context.now)


def _cordoned(nodes: tuple[Node, ...]) -> tuple[Action, ...]:
    patches = ((node, drain_patch(node)) for node in nodes)
    return tuple(PatchNode(node.name, patch) for node, patch in patches if patch is not None)


def _freed(nodes: tuple[Node, ...]) -> tuple[Action, ...]:
    return tuple(PatchNode(node.name, release_patch(node)) for node in nodes if node.held)


def _gone(claim: Claim, observed: Observed, context: Context, told: tuple[Action, ...]) -> Decision:
    """Not seen in the listing: only an answer by name, after our last request, lets go of the claim."""
    sight = observed.sight
    if not (sight.direct and sight.current):
        return Decision((*told, LookAtPool(pool_name(claim))))
    freed = _freed(observed.nodes)
    left = context.budgets.gone - sight.gone_s
    if observed.nodes and left > 0:  # AKS takes the Nodes away itself, a moment later
        return Decision(freed, left)
    deleted: tuple[Action, ...] = tuple(
        DeleteNode(node.name, node.uid) for node in observed.nodes if not node.deleting
    )
    return Decision((*freed, *deleted, _release(claim)))


def _release(claim: Claim) -> PatchClaim:
    rest = [f for f in claim.finalizers if f != CLAIM_FINALIZER]
    return PatchClaim({"metadata": {"resourceVersion": claim.resource_version, "finalizers": rest}})


def _trouble(claim: Claim, observed: Observed, context: Context, *, given_up: bool) -> tuple[Action, ...]:
    """Say why the end is long in coming. A claim that is given up keeps its reason."""
    if observed.trouble is None or given_up:
        return ()
    fault = observed.trouble.fault
    if claim.condition(0).get("reason") == fault.reason:
        return ()
    message = CLAIM_REASONS[fault.reason].message(
        pool=pool_name(claim), type="the VM", cluster=context.identity.cluster, detail=fault.detail
    )
    steps: Steps = (
        Step("pending", fault.reason, message),
        stored_step(claim, 1) or WAITING,
        stored_step(claim, 2) or WAITING,
    )
    return _told(claim, steps, context)
