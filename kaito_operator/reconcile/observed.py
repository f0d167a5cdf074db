"""What the operator sees of one Workspace's surroundings: a frozen picture, made by the shell.

The objects are the API server's own JSON as dicts, trimmed; deciding code reads and never changes them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Obj = Mapping[str, Any]


@dataclass(frozen=True)
class PodEvent:
    """One Event of a pod: who says what."""

    reason: str
    message: str


@dataclass(frozen=True)
class PodEvents:
    """The Events of one pod, as listed at `seen_at`."""

    seen_at: datetime
    events: tuple[PodEvent, ...]


@dataclass(frozen=True)
class Refusal:
    """A write of ours that could not be done.

    Attributes:
        applied_hash: hash of the object that was refused; another object may be accepted.
        at: when; the same object is not tried again at once.
        foreign: an object of this name exists that is not ours, so nothing was sent.
    """

    kind: str
    name: str
    message: str
    applied_hash: str
    at: datetime
    foreign: bool = False


@dataclass(frozen=True)
class ClusterFacts:
    """What holds for the whole cluster.

    Attributes:
        version: (major, minor) of the API server.
    """

    version: tuple[int, int]


@dataclass(frozen=True)
class Observed:
    """Everything that `decide` may look at besides the Workspace itself.

    Attributes:
        children: the Service and the Deployment of the Workspace's name by kind.
        pods: the pods that carry the Workspace's label.
        nodes: all nodes of the cluster.
        pod_events: Events of stuck pods by pod uid.
        refusals: writes of ours that could not be done, by kind.
        spellings: what the API server made of our latest apply, by kind, where it says the same in other
            words, as "1" for a user's "1000m".
    """

    cluster: ClusterFacts
    children: Mapping[str, Obj] = field(default_factory=dict)
    pods: tuple[Obj, ...] = ()
    nodes: tuple[Obj, ...] = ()
    pod_events: Mapping[str, PodEvents] = field(default_factory=dict)
    refusals: Mapping[str, Refusal] = field(default_factory=dict)
    spellings: Mapping[str, Obj] = field(default_factory=dict)
