"""Which pods of a node that goes are evicted, and which are waited for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from kaito_operator.provisioner.claims import read_moment

_STUCK_S: Final = 60.0  # beyond its own grace period a pod that is going no longer counts
_MIRROR: Final = "kubernetes.io/config.mirror"


@dataclass(frozen=True)
class PodsLeft:
    """Pods that hold up the end of a node.

    Attributes:
        evict: to ask for the eviction of.
        leaving: are on their way out.
    """

    evict: tuple[Mapping[str, Any], ...]
    leaving: int

    @property
    def none(self) -> bool:
        """The node can go."""
        return not self.evict and not self.leaving


def pods_left(pods: Iterable[Mapping[str, Any]], now: datetime) -> PodsLeft:
    """The pods to evict and to wait for: all but finished ones, the node's own and those of DaemonSets."""
    evict, leaving = [], 0
    for pod in pods:
        metadata = pod["metadata"]
        if not _counts(pod):
            continue
        deleted = read_moment(metadata.get("deletionTimestamp"))
        if deleted is None:
            evict.append(pod)
        elif (now - deleted).total_seconds() < _STUCK_S:  # deletionTimestamp includes the grace period
            leaving += 1
    return PodsLeft(tuple(evict), leaving)


def _counts(pod: Mapping[str, Any]) -> bool:
    metadata = pod["metadata"]
    if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return False
    if _MIRROR in (metadata.get("annotations") or {}):
        return False
    return not any(owner.get("kind") == "DaemonSet" for owner in metadata.get("ownerReferences") or ())


def eviction(pod: Mapping[str, Any]) -> dict[str, Any]:
    """The body that asks for the eviction of this very pod."""
    metadata = pod["metadata"]
    return {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]},
        "deleteOptions": {"preconditions": {"uid": metadata["uid"]}},
    }
