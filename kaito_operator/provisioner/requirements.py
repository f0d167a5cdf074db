"""From what a claim asks for to what is asked of Azure: one VM size, zones, priority, disk.

A claim that asks for what we cannot give is refused in words; nothing that it asks for is left out silently.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from kaito_operator.api import labels
from kaito_operator.api.machine import Requirement
from kaito_operator.api.quantities import GIB, MIB, QuantityError, parse_bytes
from kaito_operator.provisioner import names
from kaito_operator.provisioner.claims import Claim

LEAST_DISK_GIB: Final = 30
MOST_DISK_GIB: Final = 2048
"""Bounds of osDiskSizeGB. Source: AKS REST reference (0 or 30 to 2048)."""

_ARCHITECTURES: Final = {"amd64", "arm64"}
_ZONE: Final = re.compile(r"(?:(?P<region>[a-z0-9]+)-)?(?P<zone>[1-9])")
_HARMLESS: Final = {"NotIn", "DoesNotExist"}
# Requirements that choose the machine: they are obeyed or refused, and never become labels here.
_CHOOSING: Final = {
    labels.LABEL_INSTANCE_TYPE,
    names.LABEL_SKU_NAME,
    names.LABEL_CAPACITY_TYPE,
    names.LABEL_ZONE,
    names.LABEL_REGION,
    labels.LABEL_OS,
    labels.LABEL_ARCH,
}


class InvalidClaim(ValueError):  # noqa: N818 - a finding about the claim rather than a fault of ours
    """The claim cannot be served as it stands; the text says what it asks for and what can be had."""


@dataclass(frozen=True)
class LaunchPlan:
    """What is asked of Azure.

    Attributes:
        disk_gib: size of the OS disk; None leaves it to Azure.
        zones: availability zones as Azure numbers them; empty for a regional pool.
        labels: that the claim asks for by requirements with one value.
        gpu: None when the claim does not say.
    """

    vm_size: str
    spot: bool = False
    zones: tuple[str, ...] = ()
    disk_gib: int | None = None
    labels: dict[str, str] = field(default_factory=dict)
    gpu: bool | None = None


def launch_plan(claim: Claim, location: str) -> LaunchPlan:
    """What the claim asks of Azure.

    Args:
        claim: the claim.
        location: the cluster's region; empty when it is not known, and then no region is checked.

    Raises:
        InvalidClaim: it asks for something that cannot be had here.
    """
    requirements = claim.spec.requirements
    if names.ANNOTATION_LINKED in claim.annotations:
        msg = f"annotation {names.ANNOTATION_LINKED} asks to adopt a VM, which this provisioner does not do"
        raise InvalidClaim(msg)
    _refuse_unknown(requirements)
    _check_choice(requirements, labels.LABEL_OS, {"linux"})
    _check_choice(requirements, labels.LABEL_ARCH, _ARCHITECTURES)
    if location:
        _check_choice(requirements, names.LABEL_REGION, {location})
    return LaunchPlan(
        vm_size=_vm_size(requirements),
        spot=_spot(requirements),
        zones=_zones(requirements, location),
        disk_gib=_disk_gib(claim.spec.resources.requests.get("storage", "0")),
        labels={
            r.key: r.values[0]
            for r in requirements
            if r.operator == "In" and len(r.values) == 1 and r.key not in _CHOOSING
        },
        gpu=_gpu(claim),
    )


def _allowed(requirements: Sequence[Requirement], key: str) -> list[str] | None:
    """Values that all requirements on this key admit, in the order of the first; None without any."""
    found = [r for r in requirements if r.key == key]
    wanted = [r.values for r in found if r.operator == "In"]
    if not wanted:
        return None
    refused = {value for r in found if r.operator == "NotIn" for value in r.values}
    return [v for v in wanted[0] if v not in refused and all(v in values for values in wanted)]


def _vm_size(requirements: Sequence[Requirement]) -> str:
    for key in (labels.LABEL_INSTANCE_TYPE, names.LABEL_SKU_NAME):
        sizes = _allowed(requirements, key)
        if sizes:
            return sizes[0]
        if sizes is not None:
            msg = f"no instance type satisfies all its requirements on {key}"
            raise InvalidClaim(msg)
    msg = f"it names no instance type; add a requirement {labels.LABEL_INSTANCE_TYPE} with operator In"
    raise InvalidClaim(msg)


def _spot(requirements: Sequence[Requirement]) -> bool:
    types = _allowed(requirements, names.LABEL_CAPACITY_TYPE)
    if types is None or "on-demand" in types:
        return False
    if "spot" in types:
        return True
    msg = f"{names.LABEL_CAPACITY_TYPE} must be on-demand or spot, not {', '.join(types) or 'nothing'}"
    raise InvalidClaim(msg)


def _zones(requirements: Sequence[Requirement], location: str) -> tuple[str, ...]:
    wanted = _allowed(requirements, names.LABEL_ZONE)
    if wanted is None:
        return ()
    zones = []
    for text in wanted:
        match = _ZONE.fullmatch(text)
        if match and (not location or match["region"] in (None, location)):
            zones.append(match["zone"])
    if not zones:
        example = f"{location or 'eastus'}-1"
        msg = (
            f"no zone of {', '.join(wanted) or 'its requirements'} is in this region; write one as {example}"
        )
        raise InvalidClaim(msg)
    return tuple(sorted(set(zones)))


def _disk_gib(text: str) -> int | None:
    """Whole GiB, rounded up; None for 0, which KAITO v0.3.0 writes where it has no wish.

    A plain number is GB as KAITO v0.3.0 means it ("400"): no disk has 400 bytes.
    """
    try:
        amount = parse_bytes(text)
    except QuantityError as error:
        msg = f"resources.requests.storage: {error}"
        raise InvalidClaim(msg) from error
    if text.isdecimal() and amount < MIB:
        amount *= GIB
    if amount == 0:
        return None
    gib = -(-amount // GIB)
    if gib > MOST_DISK_GIB:
        msg = f"it asks for a disk of {gib} GiB; the largest OS disk of an agent pool has {MOST_DISK_GIB} GiB"
        raise InvalidClaim(msg)
    return max(gib, LEAST_DISK_GIB)


def _gpu(claim: Claim) -> bool | None:
    wanted = _allowed(claim.spec.requirements, labels.LABEL_MACHINE_TYPE)
    if wanted:
        return wanted[0] == "gpu"
    tainted = any((t.key, t.value) == (labels.TAINT_SKU, "gpu") for t in claim.spec.taints)
    return True if tainted or labels.LABEL_ACCELERATOR in claim.labels else None


def _check_choice(requirements: Sequence[Requirement], key: str, possible: set[str]) -> None:
    wanted = _allowed(requirements, key)
    if wanted is not None and not possible & set(wanted):
        msg = f"{key} must be one of {', '.join(sorted(possible))}, not {', '.join(wanted) or 'nothing'}"
        raise InvalidClaim(msg)


def _refuse_unknown(requirements: Sequence[Requirement]) -> None:
    """A label with one value can be put on the node; a wider wish about an unknown label cannot be met."""
    for r in requirements:
        if r.key in _CHOOSING and r.operator in ("In", *_HARMLESS, "Exists"):
            continue
        if r.operator in _HARMLESS or (r.operator == "In" and len(r.values) == 1):
            continue
        if r.operator == "In" and r.key in (labels.LABEL_MACHINE_TYPE, labels.LABEL_NODEPOOL):
            continue
        msg = (
            f"requirement {r.key} {r.operator} {','.join(r.values)} is not one that this provisioner can meet"
        )
        raise InvalidClaim(msg.replace("  ", " "))
