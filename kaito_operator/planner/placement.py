"""Where a model fits: every instance type of the table in numbers, and the cheapest of those that do."""

from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Final, Generic, TypeVar

from typing_extensions import override

from kaito_operator.planner.fit import CPU_DTYPE, Cause, Placement, Rejection, Wanted, look_at
from presets.catalog import Preset
from presets.instance_types import InstanceType, InstanceTypes

__all__ = ["CPU_DTYPE", "Placement", "Places", "Rejection", "Wanted", "find_places", "smallest"]

DEFAULT_PROVIDER: Final = "azure"
"""Whose types are chosen from where none is named: the gpu-provisioner adds nodes in Azure."""

_NEAREST_FIRST: Final[tuple[Cause, ...]] = ("memory", "worldSize", "tooOld", "retired", "noGpu")


@dataclass(frozen=True)
class Places:
    """The table seen by one preset.

    Attributes:
        fitting: the first is the one to take: the type that is named, else the cheapest; types whose price
            is not known come last, by GPU memory and name.
        rejected: nearest first: what lacks the least memory, and at the end what could never do.
        warnings: sentences about the first of `fitting`.
    """

    fitting: tuple[Placement, ...]
    rejected: tuple[Rejection, ...]
    warnings: tuple[str, ...] = ()

    def placement(self, instance_type: str) -> Placement | None:
        """That of one type, whose name is in the table's spelling; None where the model does not fit it."""
        return next((p for p in self.fitting if p.instance_type == instance_type), None)

    def rejection(self, instance_type: str) -> Rejection | None:
        """Why not that type, in the table's spelling; None where it fits or was not looked at."""
        return next((r for r in self.rejected if r.instance_type == instance_type), None)


def find_places(preset: Preset, types: InstanceTypes, wanted: Wanted) -> Places:
    """Look at every type of the provider of the named type, or of the default one. Raises nothing.

    A type that is named is looked at even when its cloud has retired it. Equal questions are worked out once.
    """
    return _find_places(_Same(preset), _Same(types), wanted)


T = TypeVar("T")


class _Same(Generic[T]):
    """A key for a cache: the object itself. Rows and tables never change, and cost much to compare."""

    def __init__(self, value: T) -> None:
        self.value: Final = value

    @override
    def __hash__(self) -> int:
        return id(self.value)

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.value is self.value


@lru_cache(maxsize=1024)
def _find_places(preset: _Same[Preset], types: _Same[InstanceTypes], wanted: Wanted) -> Places:
    table = types.value
    named = table.get(wanted.named) if wanted.named else None
    provider = named.provider if named else DEFAULT_PROVIDER
    looks = [look_at(preset.value, row, wanted) for row in table.values() if row.provider == provider]
    fits = (look for look in looks if isinstance(look, Placement))
    fitting = sorted(fits, key=lambda fit: _cost(fit, table[fit.instance_type], wanted))
    rejected = sorted((look for look in looks if isinstance(look, Rejection)), key=_distance)
    return Places(
        tuple(fitting), tuple(rejected), _warnings(preset.value, fitting[0] if fitting else None, named)
    )


def smallest(places: Places, types: InstanceTypes) -> Placement | None:
    """The type with the least memory for models on one node that holds the preset; None where none does."""
    return min(places.fitting, key=lambda fit: _size(fit, types[fit.instance_type]), default=None)


def _cost(fit: Placement, row: InstanceType, wanted: Wanted) -> tuple[bool, bool, Decimal, Decimal, str]:
    """Sorts what is named before what is cheap, and what has a price before what has none."""
    price = fit.price_usd_per_hour
    unnamed = fit.instance_type != wanted.named
    return unnamed, price is None, price or Decimal(0), _gpu_gib(row), fit.instance_type


def _size(fit: Placement, row: InstanceType) -> tuple[Decimal, bool, Decimal, str]:
    price = fit.price_usd_per_hour
    return _gpu_gib(row), price is None, price or Decimal(0), fit.instance_type


def _gpu_gib(row: InstanceType) -> Decimal:
    return row.accelerators.count * row.accelerators.memory_gib if row.accelerators else Decimal(0)


def _distance(rejection: Rejection) -> tuple[int, float, str]:
    return _NEAREST_FIRST.index(rejection.cause), -rejection.share, rejection.instance_type


def _warnings(preset: Preset, first: Placement | None, named: InstanceType | None) -> tuple[str, ...]:
    said = []
    if named and named.retired:
        instead = f"; {named.successor} took its place" if named.successor else ""
        said.append(f"{named.name} was retired by its cloud on {named.retired}: no new node comes{instead}.")
    if first and first.gpus_per_pod and first.dtype != preset.dtype:
        said.append(
            f"The GPUs of {first.instance_type} do not calculate in {preset.dtype}, in which {preset.name} "
            f"is stored; it runs in {first.dtype}, whose largest number is 65,504."
        )
    return tuple(said)
