"""VM sizes as the simulated region offers them, from the project's own table of instance types."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from presets.catalog import load_catalog
from presets.instance_types import InstanceType

DEFAULT_VCPUS: Final = 4
"""Of a size whose table row names none."""

UNLIMITED: Final = 100_000
"""vCPUs of a quota that nobody has set."""

Json = dict[str, object]


@dataclass(frozen=True)
class Size:
    """One VM size.

    Attributes:
        name: as Azure writes it.
        family: the name of the quota that it counts against.
        vcpus, memory_gib, gpus: of one VM.
        restricted: the subscription may not have it here.
    """

    name: str
    family: str
    vcpus: int = DEFAULT_VCPUS
    memory_gib: float = 16
    gpus: int = 0
    restricted: bool = False

    def sku(self, location: str) -> Json:
        """Write it as the list of resource SKUs does."""
        restriction = {
            "type": "Location",
            "values": [location],
            "restrictionInfo": {"locations": [location]},
            "reasonCode": "NotAvailableForSubscription",
        }
        capabilities = {
            "vCPUs": self.vcpus,
            "GPUs": self.gpus,
            "MemoryGB": self.memory_gib,
            "LowPriorityCapable": "True",
            "EphemeralOSDiskSupported": "True",
        }
        return {
            "resourceType": "virtualMachines",
            "name": self.name,
            "family": self.family,
            "locations": [location],
            "locationInfo": [{"location": location, "zones": ["1", "2", "3"]}],
            "capabilities": [{"name": name, "value": str(value)} for name, value in capabilities.items()],
            "restrictions": [restriction] if self.restricted else [],
        }


def offered(extra: Iterable[str] = ()) -> dict[str, Size]:
    """All sizes of the region by lower-case name: Azure's rows of the table, and some extra ones.

    A retired type is listed as restricted, which is how Azure shows it.

    Args:
        extra: names that are offered whatever the table says.
    """
    rows = load_catalog().instance_types.values()
    sizes = {row.name.lower(): _size(row) for row in rows if row.provider == "azure"}
    for name in extra:
        known = sizes.get(name.lower())
        sizes[name.lower()] = (
            Size(known.name, known.family, known.vcpus, known.memory_gib, known.gpus)
            if known
            else Size(name, family(name))
        )
    return sizes


def _size(row: InstanceType) -> Size:
    return Size(
        row.name,
        row.family or family(row.name),
        row.vcpus or DEFAULT_VCPUS,
        float(row.memory_gib or 16),
        row.gpus,
        restricted=row.retired is not None,
    )


def family(name: str) -> str:
    """Make up the name of a size's quota by Azure's usual rule: the name without the vCPUs of one VM."""
    first, *rest = name.removeprefix("Standard_").split("_")
    return f"standard{re.sub(r'[0-9]+', '', first).upper()}{''.join(rest)}Family"


def usage(name: str, value: int, limit: int) -> Json:
    """Write one row of the list of usages; value and limit are vCPUs."""
    return {
        "unit": "Count",
        "currentValue": value,
        "limit": limit,
        "name": {"value": name, "localizedValue": name},
    }
