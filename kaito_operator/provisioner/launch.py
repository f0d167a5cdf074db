"""The first step of a claim: from nothing to an agent pool that stands."""

from dataclasses import dataclass, replace
from datetime import datetime

from kaito_operator.provisioner import names
from kaito_operator.provisioner.claims import Claim, read_moment
from kaito_operator.provisioner.conditions import DONE, Step, failed, pending
from kaito_operator.provisioner.decision import (
    Action,
    AskForCause,
    Context,
    DeletePool,
    ListPools,
    LookAtPool,
    Observed,
    PutPool,
)
from kaito_operator.provisioner.faults import AzureError, classify
from kaito_operator.provisioner.pool import belongs_to, pool_body, pool_name
from kaito_operator.provisioner.requirements import LaunchPlan

_CREATING = "PoolCreating"
_LIMIT_PAUSE_S = 60.0


@dataclass(frozen=True)
class Progress:
    """How far a step is, and what it asks for.

    Attributes:
        step: None when nothing can be said yet; then the stored status stays.
    """

    step: Step | None
    actions: tuple[Action, ...] = ()
    retry_after_s: float | None = None
    watch: bool = False

    @property
    def is_final(self) -> bool:
        """The claim is given up."""
        return self.step is not None and self.step.turn == "failed"


def launch(claim: Claim, plan: LaunchPlan, observed: Observed, context: Context) -> Progress:
    """Bring the pool of a live claim into being, or say why there will be none."""
    sight, launched = observed.sight, claim.is_done(0)
    if not sight.known:
        return _unknown(claim, observed, context)
    pool = sight.pool
    if pool is None:
        return _absent(claim, plan, observed, context)
    if not belongs_to(pool, claim, context.identity):
        owner = pool.tags.get(names.TAG_CLAIM_NAME, "nobody known here")
        return Progress(failed("PoolNameTaken", pool=pool.name, detail=f"it was made for {owner}"))
    if launched or pool.is_settled:
        return Progress(DONE, watch=pool.is_deleting)
    if pool.is_failed:
        return _failed(claim, plan, observed)
    return _within_budget(claim, plan, context, pending(_CREATING, pool=pool.name, type=plan.vm_size))


def left_s(since: datetime | None, budget_s: float, now: datetime) -> float:
    """Seconds of a budget that are left."""
    return budget_s - (now - since).total_seconds() if since else budget_s


def as_text(seconds: float) -> str:
    """A budget for a sentence: "20 min"; seconds below two minutes."""
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:g} s"


def stored_step(claim: Claim, index: int) -> Step | None:
    """The step as the claim tells it now; None when it tells nothing."""
    stored = claim.condition(index)
    if not stored:
        return None
    if stored.get("status") == "True":
        return DONE
    return Step("pending", str(stored.get("reason") or ""), str(stored.get("message") or ""))


def since_of(claim: Claim, index: int, now: datetime) -> datetime:
    """When the step was done; now when that is yet to be written."""
    stored = claim.condition(index)
    done = stored.get("status") == "True"
    return (read_moment(stored.get("lastTransitionTime")) if done else None) or now


def _unknown(claim: Claim, observed: Observed, context: Context) -> Progress:
    """Azure has not answered yet: a node can be followed all the same, a pool cannot be asked for."""
    if claim.is_done(0):
        return Progress(DONE, (ListPools(),))
    step = _troubled(claim, observed, context) if observed.trouble else stored_step(claim, 0)
    return Progress(step, (ListPools(),), watch=True)


def _troubled(claim: Claim, observed: Observed, context: Context) -> Step | None:
    """The trouble as a step, in its first words: throttles tell other figures each time."""
    stored = claim.condition(0)
    if observed.trouble is None or stored.get("reason") == _CREATING:
        return stored_step(claim, 0)
    fault = observed.trouble.fault
    if stored.get("reason") == fault.reason:
        return Step("pending", fault.reason, str(stored.get("message") or ""))
    return pending(
        fault.reason,
        pool=pool_name(claim),
        cluster=context.identity.cluster,
        detail=fault.detail,
        type="the VM",
    )


def _within_budget(claim: Claim, plan: LaunchPlan, context: Context, step: Step) -> Progress:
    """The step, or its end when the launch has taken too long."""
    budget = context.budgets.launch
    left = left_s(claim.launch_began, budget, context.now)
    if left > 0:
        return Progress(step, retry_after_s=left, watch=True)
    detail = f"The last word was {step.reason}: {step.message}"
    return Progress(failed("LaunchTimeout", pool=pool_name(claim), limit=as_text(budget), detail=detail))


def _absent(claim: Claim, plan: LaunchPlan, observed: Observed, context: Context) -> Progress:
    sight, name = observed.sight, pool_name(claim)
    if claim.is_done(0) or claim.condition(0).get("reason") == _CREATING:
        if not (sight.direct and sight.current):
            return Progress(DONE if claim.is_done(0) else stored_step(claim, 0), (LookAtPool(name),))
        return _vanished(claim, plan, observed)
    trouble = observed.trouble
    if trouble is not None and trouble.fault.final:
        return Progress(
            failed(trouble.fault.reason, pool=name, type=plan.vm_size, detail=trouble.fault.detail)
        )
    told = _troubled(claim, observed, context) if trouble else stored_step(claim, 0)
    progress = _within_budget(
        claim, plan, context, told or pending("PoolRequested", **_facts(claim, plan, context))
    )
    if progress.is_final:
        return progress
    if trouble is not None and trouble.wait_s > 0:
        return Progress(told, retry_after_s=trouble.wait_s)
    return _request(claim, plan, observed, context, told)


def _facts(claim: Claim, plan: LaunchPlan, context: Context) -> dict[str, str]:
    return {"pool": pool_name(claim), "type": plan.vm_size, "cluster": context.identity.cluster}


def _request(
    claim: Claim, plan: LaunchPlan, observed: Observed, context: Context, told: Step | None
) -> Progress:
    """Ask for the pool, once it is certain that there is none."""
    name = pool_name(claim)
    if not observed.sight.current:
        return Progress(told, (LookAtPool(name),))
    if observed.sight.age_s > context.budgets.answer:
        return Progress(told, (ListPools(),), watch=True)
    if observed.pools >= names.MOST_POOLS:
        step = pending("PoolLimitReached", detail=f"{observed.pools} of {names.MOST_POOLS} are there")
        return Progress(step, retry_after_s=_LIMIT_PAUSE_S)
    return Progress(told, (PutPool(name, pool_body(claim, plan, context.identity), plan),))


def _vanished(claim: Claim, plan: LaunchPlan, observed: Observed) -> Progress:
    """The pool was there, or was coming, and is gone."""
    sight = observed.sight
    if sight.cause is None and sight.may_have_cause:
        return Progress(stored_step(claim, 0), (AskForCause(pool_name(claim)),))
    if sight.cause is not None and not claim.is_done(0):
        return Progress(_cause(claim, plan, sight.cause))
    return Progress(failed("PoolRemoved", pool=pool_name(claim)))


def _failed(claim: Claim, plan: LaunchPlan, observed: Observed) -> Progress:
    """The pool is Failed: say why, and have it deleted so that it costs nothing."""
    sight, name = observed.sight, pool_name(claim)
    if sight.cause is None and sight.may_have_cause:
        return Progress(stored_step(claim, 0), (AskForCause(name),))
    state = sight.pool.state if sight.pool else ""
    return Progress(
        _cause(claim, plan, sight.cause or AzureError(200, "", f"Azure says {state} and no cause"))
    )


def _cause(claim: Claim, plan: LaunchPlan, error: AzureError) -> Step:
    fault = classify(error)
    if not fault.final:  # of an operation that has ended, there is nothing to wait for
        fault = replace(fault, reason="PoolFailed")
    return failed(fault.reason, pool=pool_name(claim), type=plan.vm_size, detail=fault.detail)


def removal(claim: Claim, observed: Observed, context: Context, *, ignore_pdb: bool) -> Progress:
    """Have the claim's pool deleted, once: the answers of Azure lead on."""
    pool = observed.sight.pool
    if pool is None or not belongs_to(pool, claim, context.identity):
        return Progress(None)
    if pool.is_deleting:
        return Progress(None, watch=True)
    if observed.trouble is not None and observed.trouble.wait_s > 0:
        return Progress(None, retry_after_s=observed.trouble.wait_s, watch=True)
    if not observed.sight.current:  # the answer to our last request was lost: it may be under way
        return Progress(None, (LookAtPool(pool.name),), watch=True)
    return Progress(None, (DeletePool(pool.name, ignore_pdb),), watch=True)
