"""Why a model is not put on any node, as facts for the rows of `api.reasons`."""

from collections.abc import Mapping

from kaito_operator.api.quantities import format_gib
from kaito_operator.planner.capacity import format_gib_down
from kaito_operator.planner.choice import Choice
from kaito_operator.planner.placement import Placement, Places, Rejection, smallest
from presets.catalog import Preset
from presets.instance_types import InstanceType, InstanceTypes

_NONE_KNOWN = "none that this operator knows of"


def named_misfit(
    preset: Preset, choice: Choice, types: InstanceTypes, oldest_gpu: str
) -> tuple[str, Mapping[str, str]] | None:
    """Code and facts of what is wrong with the named type; None when the model fits it, or nobody knows."""
    row = types.get(choice.instance_type or "")
    if row is None or choice.places is None or choice.placement is not None:
        return None
    rejection = choice.places.rejection(row.name)
    if rejection is None:
        return None
    if rejection.cause == "tooOld":
        return "GpuTooOld", _too_old(row, choice.places, oldest_gpu)
    return "ModelDoesNotFit", _does_not_fit(preset, rejection, choice.places, types)


def nothing_fits(preset: Preset, places: Places, nodes: int) -> Mapping[str, str]:
    """Facts of a model that no type of the table holds: the three that are nearest to it."""
    nearest = "; ".join(f"{r.instance_type} {r.reason}" for r in places.rejected[:3])
    return {"preset": preset.name, "count": str(nodes), "detail": nearest}


def describe(placement: Placement) -> str:
    """The type and its numbers: "Standard_NC4as_T4_v3 (needs 11.9 GiB of 14.5 GiB on 1 GPU)"."""
    gpus = placement.world_size
    where = "main memory" if not gpus else "1 GPU" if gpus == 1 else f"each of {gpus} GPUs"
    needed = format_gib(placement.needed_bytes_per_gpu)
    usable = format_gib_down(placement.usable_bytes_per_gpu)
    return f"{placement.instance_type} (needs {needed} of {usable} on {where})"


def _too_old(row: InstanceType, places: Places, oldest_gpu: str) -> Mapping[str, str]:
    gpu = row.accelerators
    cheapest = places.fitting[0].instance_type if places.fitting else _NONE_KNOWN
    succeeds = row.successor is not None and places.placement(row.successor) is not None
    return {
        "type": row.name,
        "gpu": gpu.model if gpu else "",
        "capability": (gpu.compute_capability if gpu else None) or "",
        "oldest": oldest_gpu,
        "successor": row.successor if succeeds and row.successor else cheapest,
    }


def _does_not_fit(
    preset: Preset, rejection: Rejection, places: Places, types: InstanceTypes
) -> Mapping[str, str]:
    least = smallest(places, types)
    return {
        "preset": preset.name,
        "type": rejection.instance_type,
        "detail": rejection.reason,
        "smallest": describe(least) if least else _NONE_KNOWN,
    }
