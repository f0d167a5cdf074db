"""Checks of a PUT: what the real service refuses with a 400, the simulated one refuses too."""

import re
from collections.abc import Mapping
from typing import Any

from tools.localcluster import ClusterError
from tools.localcluster.nodespec import kubelet_may_set, parse_taints
from tools.simcloud.errors import ArmError

POOL_NAME = re.compile(r"[a-z][a-z0-9]{0,11}")
LABEL_NAME = re.compile(r"([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?")
ZONES = frozenset({"1", "2", "3"})
DISK_GB = range(30, 2049)

Json = dict[str, Any]


def check(name: str, properties: Json) -> None:
    """Refuse a pool that the service would not take.

    Raises:
        ArmError: 400 InvalidParameter, with the field and its value.
    """
    if not POOL_NAME.fullmatch(name):
        raise _invalid("name", name, "a letter, then at most 11 lower-case letters and digits")
    if not isinstance(properties.get("vmSize"), str):
        raise _invalid("vmSize", properties.get("vmSize"), "the name of a VM size")
    count = properties.get("count", 1)
    if not isinstance(count, int) or not 0 <= count <= 1000:
        raise _invalid("count", count, "a number from 0 to 1000")
    disk = properties.get("osDiskSizeGB") or DISK_GB.start  # 0 is the service's own default
    if disk not in DISK_GB:
        raise _invalid("osDiskSizeGB", disk, "0, or GB from 30 to 2048")
    zones = properties.get("availabilityZones") or []
    if not ZONES.issuperset(zones):
        raise _invalid("availabilityZones", zones, "some of 1, 2, 3")
    _check_labels(properties.get("nodeLabels") or {})
    _check_taints(properties.get("nodeTaints") or [])


def _check_labels(labels: Mapping[str, str]) -> None:
    for key, value in labels.items():
        prefix, _, name = key.rpartition("/")
        if not LABEL_NAME.fullmatch(name) or not LABEL_VALUE.fullmatch(value):
            raise _invalid("nodeLabels", f"{key}={value}", "a label that Kubernetes allows")
        if prefix == "kubernetes.azure.com" or not kubelet_may_set(key):
            raise _invalid("nodeLabels", key, "a label outside the prefixes that are reserved for the system")


def _check_taints(taints: list[str]) -> None:
    try:
        parse_taints(",".join(taints))
    except ClusterError as error:
        raise _invalid("nodeTaints", taints, f"taints that Kubernetes allows ({error})") from None


def _invalid(field: str, value: object, wanted: str) -> ArmError:
    return ArmError(400, "InvalidParameter", f"The value of parameter {field} is {value!r}: give {wanted}.")
