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
class ServerAdapter:
    """What one server says of one adapter; the states are those of its `GET /adapters`."""

    name: str
    image: str
    digest: str
    state: str
    reason: str
    message: str


@dataclass(frozen=True)
class AdapterReport:
    """What one server says of its adapters, or why it could not be asked.

    Attributes:
        asked_at: when.
        asked_for: generation of the list that was wanted then.
        started: when the pod's containers had started; a server that starts anew knows nothing any more.
        tries: questions in a row that got the same answer, less one.
        generation: of the list that the server has; empty when it has none yet.
        trouble: why there is no answer; empty when there is one.
    """

    asked_at: datetime
    asked_for: str
    started: str
    tries: int = 0
    generation: str = ""
    adapters: tuple[ServerAdapter, ...] = ()
    trouble: str = ""


@dataclass(frozen=True)
class Refusal:
    """A write of ours that could not be done.

    Attributes:
        applied_hash: hash of the object that was refused; another object may be accepted.
        at: when; the same object is not tried again at once.
        foreign: an object of this name exists that is not ours, so nothing was sent.
        unknown_kind: the API server does not know the kind.
    """

    kind: str
    name: str
    message: str
    applied_hash: str
    at: datetime
    foreign: bool = False
    unknown_kind: bool = False


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
        children: the workload, the Services and the list of adapters by `manifests.ownership.child_key`.
        claims: the Machines and NodeClaims that carry the Workspace's labels.
        vanished: claims that are gone though we did not delete them: name -> when.
        many_nodes_lost: so many of all claims' nodes are not ready that none is to be replaced now.
        pods: the pods that carry the Workspace's label.
        nodes: all nodes of the cluster.
        pod_events: Events of stuck pods by pod uid.
        adapter_reports: what servers said of their adapters, by pod uid.
        refusals: writes of ours that could not be done, by child key; of claims by kind.
        spellings: what the API server made of our latest apply, by child key, where it says the same in other
            words, as "1" for a user's "1000m".
    """

    cluster: ClusterFacts
    children: Mapping[str, Obj] = field(default_factory=dict)
    claims: tuple[Obj, ...] = ()
    vanished: Mapping[str, datetime] = field(default_factory=dict)
    many_nodes_lost: bool = False
    pods: tuple[Obj, ...] = ()
    nodes: tuple[Obj, ...] = ()
    pod_events: Mapping[str, PodEvents] = field(default_factory=dict)
    adapter_reports: Mapping[str, AdapterReport] = field(default_factory=dict)
    refusals: Mapping[str, Refusal] = field(default_factory=dict)
    spellings: Mapping[str, Obj] = field(default_factory=dict)
