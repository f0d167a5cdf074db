"""Would Azure refuse this VM size now? Read from its lists of sizes and of usage, before a pool is asked for.

Only a plain no is a no: a size that the list lacks, or a family without a usage, is tried.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from kaito_operator.provisioner.faults import QUOTA, SKU, Fault
from kaito_operator.provisioner.requirements import LaunchPlan

SPOT_USAGE = "lowprioritycores"


@dataclass(frozen=True)
class Size:
    """A VM size in the cluster's region.

    Attributes:
        family: name of the quota that it counts against, in lower case.
        vcpus: that one VM takes of it.
        refused: why the subscription may not use it here at all, or an empty text.
        closed_zones: zones in which it may not.
    """

    name: str
    family: str
    vcpus: int
    refused: str = ""
    closed_zones: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Usage:
    """A quota, in vCPUs."""

    used: int
    limit: int


def refusal(plan: LaunchPlan, sizes: Mapping[str, Size], usages: Mapping[str, Usage]) -> Fault | None:
    """Why this plan would fail, or None.

    Args:
        plan: what is to be asked for.
        sizes: by name in lower case.
        usages: by name in lower case.
    """
    size = sizes.get(plan.vm_size.lower())
    if size is None:
        return None
    if size.refused:
        return Fault(SKU, f"{size.name} cannot be used by this subscription in this region ({size.refused})")
    if plan.zones and set(plan.zones) <= size.closed_zones:
        return Fault(SKU, f"{size.name} cannot be used in zone {', '.join(plan.zones)}")
    name = SPOT_USAGE if plan.spot else size.family
    usage = usages.get(name)
    if usage is None or usage.limit - usage.used >= size.vcpus:
        return None
    left = max(usage.limit - usage.used, 0)
    return Fault(QUOTA, f"needs {size.vcpus} vCPU of {name}, {left} of {usage.limit} left; ask for more")
