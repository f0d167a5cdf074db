"""Whether a PUT or a DELETE is taken: what the service knows of sizes, quotas, limits and its other work."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tools.simcloud.errors import ArmError
from tools.simcloud.operations import Operation
from tools.simcloud.pool import Pool
from tools.simcloud.sizes import UNLIMITED, Size

Json = dict[str, Any]
SPOT_QUOTA = "lowPriorityCores"
REGION_QUOTA = "cores"


@dataclass(frozen=True)
class Timing:
    """How long things take, in seconds, and what the service allows.

    Attributes:
        create_s: until the VMs of a new pool boot.
        delete_s: until those of a deleted one go.
        serialised: one operation at a time for the whole cluster, as on the real service.
        pool_limit: pools that a cluster may have.
    """

    create_s: float = 0.5
    delete_s: float = 0.3
    serialised: bool = False
    pool_limit: int = 100


def check_conditions(pool: Pool | None, if_match: str | None, if_none_match: str | None) -> None:
    """Apply the conditional headers of a PUT or a DELETE.

    Raises:
        ArmError: 412.
    """
    exists = f"Agent pool {pool.name} exists already." if pool else ""
    if pool and if_none_match == "*":
        raise ArmError(412, "PreconditionFailed", exists)
    if if_match and (pool is None or (if_match not in {"*", pool.etag})):
        raise ArmError(
            412, "PreconditionFailed", f"The agent pool is no longer the one with etag {if_match}."
        )


def check_idle(running: Iterable[Operation], pool: str, *, serialised: bool) -> None:
    """Refuse a change while another operation runs on this pool, or (serialised) on any.

    Raises:
        ArmError: 409 OperationNotAllowed.
    """
    for operation in running:
        if serialised or operation.pool == pool:
            text = (
                f"Operation is not allowed because there's an in progress {operation.kind} node pool "
                f"operation on agent pool {operation.pool}."
            )
            raise ArmError(409, "OperationNotAllowed", text)


def check_size(sizes: Mapping[str, Size], name: str, location: str) -> Size:
    """Find a VM size.

    Raises:
        ArmError: 400, it is unknown or the subscription may not have it here.
    """
    size = sizes.get(name.lower())
    hint = "The simulated cloud offers what is in its table and not retired, and names given as offers."
    if size is None:
        text = f"The VM size {name} is not supported in location '{location}'. {hint}"
        raise ArmError(400, "VMSizeNotSupported", text)
    if size.restricted:
        text = f"The VM size {name} is not allowed in your subscription in location '{location}'. {hint}"
        raise ArmError(400, "SkuNotAvailable", text)
    return size


def used(pools: Iterable[Pool], sizes: Mapping[str, Size]) -> dict[str, int]:
    """Count vCPUs in use by the name of the quota; spot VMs have one of their own."""
    counts = {REGION_QUOTA: 0, SPOT_QUOTA: 0}
    for pool in pools:
        size = sizes.get(pool.vm_size.lower())
        if size is None or pool.state == "Failed":
            continue
        for name in (SPOT_QUOTA,) if pool.spot else (REGION_QUOTA, size.family):
            counts[name] = counts.get(name, 0) + size.vcpus * pool.count
    return counts


def check_quota(size: Size, properties: Json, counts: Mapping[str, int], quotas: Mapping[str, int]) -> None:
    """Refuse a pool for which the vCPUs do not suffice.

    Args:
        size: of its VMs.
        properties: of the PUT.
        counts: in use by the other pools.
        quotas: limits by name; lower case.

    Raises:
        ArmError: 400 ErrCode_InsufficientVCPUQuota.
    """
    spot = properties.get("scaleSetPriority") == "Spot"
    wanted = size.vcpus * int(properties.get("count", 1))
    for name in (SPOT_QUOTA,) if spot else (REGION_QUOTA, size.family):
        left = quotas.get(name.lower(), UNLIMITED) - counts.get(name, 0)
        if wanted > left:
            text = f"Insufficient vcpu quota: requested {wanted}, remaining {max(left, 0)} of {name}."
            raise ArmError(400, "ErrCode_InsufficientVCPUQuota", text)
