"""Instance types: every VM size that a node can be, read from instance_types.yaml and checked.

Dated facts, not promises: a price without a dated source is absent, and a type that its cloud has withdrawn
stays in the table with the date, so that an old Workspace can be told what took its place.
"""

import difflib
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated, Final, Literal

from pydantic import Field, PositiveInt
from typing_extensions import override

from presets.rows import CatalogError, Row

RESOURCE: Final = "instance_types.yaml"

Provider = Literal["azure", "aws", "arc"]
Vendor = Literal["nvidia", "amd", "aws"]
"""Who makes the accelerator. Our images run on NVIDIA's only."""

InstanceTypeName = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$", max_length=63)]
PositiveDecimal = Annotated[Decimal, Field(gt=0, strict=False)]
Day = Annotated[date, Field(strict=False)]


class Price(Row):
    """What one node costs, on demand, Linux.

    Attributes:
        usd_per_hour: before tax and discounts.
        region: of the cloud, as it names it.
        date: when the source said so.
    """

    usd_per_hour: PositiveDecimal
    region: str
    date: Day


class Accelerators(Row):
    """The GPUs (or other accelerators) of one node.

    Attributes:
        model: as its maker names it, such as "A100".
        count: that the node's device plugin offers; a share of a GPU counts as one.
        memory_gib: of each, nominal: what the driver reports is a few percent less.
        compute_capability: NVIDIA's, such as "8.0"; None for others.
    """

    model: str
    vendor: Vendor = "nvidia"
    count: PositiveInt
    memory_gib: PositiveDecimal
    compute_capability: Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]$")] | None = None


class InstanceType(Row):
    """One VM size.

    Attributes:
        accelerators: None for a type without any.
        vcpus, memory_gib: of the node; None where no source was found.
        local_disk_gib: of the fast disk beside the system disk; 0 is none, None is not known.
        family: the cloud's name of the quota that it counts against, None where not known.
        price: None where no dated source was found.
        retired: the day from which its cloud runs none of it any more; it may lie ahead, as announced.
        successor: the type to take instead: of a retired one, or of a name that its cloud does not list.
        sources: where each fact is from.
    """

    name: InstanceTypeName
    provider: Provider
    accelerators: Accelerators | None = None
    vcpus: PositiveInt | None = None
    memory_gib: PositiveDecimal | None = None
    local_disk_gib: Annotated[int, Field(ge=0)] | None = None
    family: str | None = None
    price: Price | None = None
    retired: Day | None = None
    successor: InstanceTypeName | None = None
    sources: Annotated[tuple[str, ...], Field(min_length=1, strict=False)]

    @property
    def offered(self) -> bool:
        """May be chosen for somebody: neither retired (not even in the future) nor an unlisted name."""
        return self.retired is None and self.successor is None

    @property
    def gpus(self) -> int:
        """NVIDIA GPUs of one node, which is what our images can use."""
        return self.accelerators.count if self.accelerators and self.accelerators.vendor == "nvidia" else 0


class InstanceTypes(Mapping[str, InstanceType]):
    """The instance types by name; upper and lower case are the same, as in Azure."""

    def __init__(self, rows: tuple[InstanceType, ...]) -> None:
        """Index the rows.

        Raises:
            CatalogError: two rows have one name, or a successor is no row.
        """
        by_name = {row.name.lower(): row for row in rows}
        if len(by_name) != len(rows):
            names = [row.name.lower() for row in rows]
            msg = f"{RESOURCE}: more than one row is named {max(names, key=names.count)}; remove one"
            raise CatalogError(msg)
        for row in rows:
            _check_successor(row, by_name)
        self._by_name: Final = MappingProxyType(by_name)

    @override
    def __getitem__(self, name: str) -> InstanceType:
        return self._by_name[name.lower()]

    @override
    def __iter__(self) -> Iterator[str]:
        return (row.name for row in self._by_name.values())

    @override
    def __len__(self) -> int:
        return len(self._by_name)

    def nearest(self, name: str, count: int = 3) -> tuple[str, ...]:
        """The names most like this one, best first."""
        found = difflib.get_close_matches(name.lower(), list(self._by_name), n=count, cutoff=0.0)
        return tuple(self._by_name[key].name for key in found)


def _check_successor(row: InstanceType, by_name: Mapping[str, InstanceType]) -> None:
    if row.successor is None:
        return
    successor = by_name.get(row.successor.lower())
    if successor is None or not successor.offered:
        state = "is no row" if successor is None else "is itself retired or not listed"
        msg = f"{RESOURCE}: the successor of {row.name}, {row.successor}, {state}"
        raise CatalogError(msg)
