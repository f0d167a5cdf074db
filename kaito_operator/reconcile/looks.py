"""When the Events of a stuck pod are worth a look.

Only Events tell of a missing Secret or a volume that cannot be mounted. They are not watched, which
would double the traffic of a large cluster; they are listed a few times while a pod does not get on.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from kaito_operator.reconcile import pods
from kaito_operator.reconcile.decision import PodRef
from kaito_operator.reconcile.observed import Obj, Observed

# Seconds after the pod got its node. The first is longer than a normal start with images present.
LOOKS_AT_S = (5.0, 20.0, 60.0, 180.0, 600.0)


@dataclass(frozen=True)
class Looks:
    """Pods to look at now, and seconds until the next look is due; None when none is."""

    now: tuple[PodRef, ...]
    next_in_s: float | None


def due_looks(stuck: Iterable[Obj], observed: Observed, now: datetime) -> Looks:
    """Which of the pods that wait for their node are to be looked at."""
    due: list[PodRef] = []
    waits: list[float] = []
    for pod in stuck:
        since = pods.scheduled_at(pod)
        if since is None or not _waits_for_its_node(pod):
            continue
        seen = observed.pod_events.get(pod["metadata"]["uid"])
        seen_age = (seen.seen_at - since).total_seconds() if seen else float("-inf")
        upcoming = next((at for at in LOOKS_AT_S if at > seen_age), None)
        if upcoming is None:
            continue
        wait = upcoming - (now - since).total_seconds()
        if wait <= 0:
            metadata = pod["metadata"]
            due.append(PodRef(metadata["namespace"], metadata["name"], metadata["uid"]))
        else:
            waits.append(wait)
    return Looks(tuple(due), min(waits) if waits else None)


def _waits_for_its_node(pod: Obj) -> bool:
    """True while no container of the pod runs or has run: images and mounts are the node's work."""
    return not any(c.running or c.started_once for c in pods.containers(pod))
