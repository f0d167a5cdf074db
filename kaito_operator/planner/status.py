"""The plan as `status.plan` tells it, and `kaito plan` with it."""

from decimal import Decimal
from typing import Final

from kaito_operator.api.status import AlternativeInstanceType, PlanStatus, RejectedInstanceType
from kaito_operator.planner.placement import Placement
from kaito_operator.planner.plan import ClaimWeights, HubWeights, ImageWeights, Plan

MAX_ALTERNATIVES: Final = 5
MAX_REJECTED: Final = 8
MAX_WARNINGS: Final = 8


def plan_status(plan: Plan, weights_from: str | None = None) -> PlanStatus:
    """The plan in the words of the API.

    Args:
        plan: of any Workspace.
        weights_from: how the weights reach the pod, which is decided later than the plan.
    """
    memory, placement, places = plan.memory, plan.placement, plan.places
    return PlanStatus(
        nodes=plan.replicas,
        gpus=plan.gpus_per_pod,
        tensor_parallel=placement.tensor_parallel if placement else None,
        pipeline_parallel=placement.pipeline_parallel if placement else None,
        weights_bytes=memory.weights_bytes if memory else None,
        kv_cache_bytes_per_token=memory.kv_cache_bytes_per_token if memory else None,
        memory_bytes=memory.total_bytes if memory else None,
        disk_bytes=plan.disk_bytes or None,
        weights_from=weights_from,
        weights_source=_weights_source(plan),
        facts_source="; ".join(plan.preset.sources)[:1024] if plan.preset else None,
        expected_seconds_to_ready=plan.timing.ready_s or None,
        price_per_hour=_price(placement.price_usd_per_hour) if placement else None,
        price_source=placement.price_source if placement else None,
        alternatives=_alternatives(plan),
        warnings=[warning[:1024] for warning in plan.warnings[:MAX_WARNINGS]],
        rejected=[
            RejectedInstanceType(name=rejection.instance_type, reason=rejection.reason)
            for rejection in (places.rejected[:MAX_REJECTED] if places else ())
        ],
    )


def _alternatives(plan: Plan) -> list[AlternativeInstanceType]:
    fitting = plan.places.fitting if plan.places else ()
    others = [fit for fit in fitting if plan.placement is None or fit is not plan.placement]
    return [_alternative(fit) for fit in others[:MAX_ALTERNATIVES]]


def _alternative(fit: Placement) -> AlternativeInstanceType:
    price = _price(fit.price_usd_per_hour)
    return AlternativeInstanceType(name=fit.instance_type, nodes=fit.nodes, price_per_hour=price)


def _price(dollars: Decimal | None) -> str | None:
    """As decimal text without an exponent: "3.673"."""
    return None if dollars is None else f"{dollars:f}"


def _weights_source(plan: Plan) -> str | None:
    match plan.weights:
        case ImageWeights(image=image, path=path):
            return f"{image} {path}"
        case ClaimWeights(claim=claim, path=path):
            return f"{claim} {path}".strip()
        case HubWeights(repository=repository, revision=revision):
            return f"{repository}@{revision}"
        case None:
            return None
