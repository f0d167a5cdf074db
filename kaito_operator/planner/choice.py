"""Which instance type a Workspace gets: the one that it names, or the cheapest that holds the model."""

from dataclasses import dataclass
from typing import Final

from kaito_operator.planner.memory import PLANNED, Sizing
from kaito_operator.planner.placement import DEFAULT_PROVIDER, Placement, Places, Wanted, find_places
from kaito_operator.settings import RuntimeSettings
from presets.catalog import Preset
from presets.instance_types import InstanceType, InstanceTypes

MAX_CANDIDATES: Final = 6
"""The type that is taken and five alternatives: a choice. Without room for six types a cloud has none."""


@dataclass(frozen=True)
class Choice:
    """A type, and what speaks for and against it.

    Attributes:
        instance_type: named, or chosen; None where any node will do.
        placement: of the preset on it; None where no type is taken, nothing is known of it, or the model
            does not fit it.
        places: every type of the table; None without a preset, and where the named type is not in the table.
        candidates: the types to try, in this order. Another one may need another pod: the plan with that type
            named tells which.
        warnings: sentences for the user.
    """

    instance_type: str | None = None
    placement: Placement | None = None
    places: Places | None = None
    candidates: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def choose(
    preset: Preset | None,
    named: str | None,
    nodes: int,
    types: InstanceTypes,
    runtime: RuntimeSettings,
    sizing: Sizing = PLANNED,
) -> Choice:
    """The type for a preset on so many nodes. Raises nothing.

    Args:
        preset: None for a workload that brings its own image.
        named: the type that the user asks for; it is never replaced by another.
        nodes: resource.count.
        types: the table.
        runtime: says whether nodes can be added, and how old a GPU the runtime image runs on.
        sizing: what memory is to hold.
    """
    row = types.get(named) if named else None
    if named and row is None:
        return Choice(named, candidates=(named,), warnings=(_unknown(named, types),))
    places = None
    if preset is not None and len(types):
        wanted = Wanted(nodes, runtime.oldest_gpu, row.name if row else None, sizing)
        places = find_places(preset, types, wanted)
    if named and row:
        placement = places.placement(row.name) if places else None
        warnings = (*_of_named(named, row, runtime), *(places.warnings if places else ()))
        return Choice(named, placement, places, (named,), warnings)
    if places is None or not places.fitting or runtime.provisioning == "none":
        return Choice(places=places)
    first = places.fitting[0]
    candidates = tuple(fit.instance_type for fit in places.fitting[:MAX_CANDIDATES])
    return Choice(first.instance_type, first, places, candidates, places.warnings)


def _unknown(named: str, types: InstanceTypes) -> str:
    nearest = ", ".join(types.nearest(named, 3))
    similar = f" Names like it: {nearest}." if nearest else ""
    return (
        f"{named} is not in the table of instance types, so it is not known whether the model fits.{similar}"
    )


def _of_named(named: str, row: InstanceType, runtime: RuntimeSettings) -> tuple[str, ...]:
    said = []
    if named != row.name:
        said.append(f"{named} is spelled {row.name} in the labels of nodes, and only equal texts match.")
    if row.provider != DEFAULT_PROVIDER and runtime.provisioning == "machine":
        said.append(f"{row.name} is a type of {row.provider}; the gpu-provisioner adds nodes in Azure only.")
    return tuple(said)
