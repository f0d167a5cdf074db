"""What is to be done for one Workspace: the answer of `decide`, carried out by `kube.execute`."""

from dataclasses import dataclass
from typing import Any, Literal

from kaito_operator.reconcile.observed import Obj


@dataclass(frozen=True)
class EventDraft:
    """An Event to be posted on the Workspace."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True)
class PodRef:
    """A pod: this one, not another of its name."""

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True)
class PodTouch:
    """An annotation that a pod is to get."""

    pod: PodRef
    key: str
    value: str


@dataclass(frozen=True)
class ServerAddress:
    """A server that is to be asked for its adapters.

    Attributes:
        ip: of the pod.
        started, generation: as in `AdapterReport`, whose `asked_for` is the generation.
    """

    pod: PodRef
    ip: str
    started: str
    generation: str


@dataclass(frozen=True)
class ObjectRef:
    """An object to be deleted: this one, not another of its name. Cluster-scoped ones have no namespace."""

    kind: str
    namespace: str
    name: str
    uid: str


@dataclass(frozen=True)
class Decision:
    """The next step of one Workspace. Doing it twice changes nothing.

    Attributes:
        finalizers: the Workspace's new finalizers; None leaves them.
        create: claims to be created; one that exists is left as it is.
        apply: objects to be applied, in this order; only those that differ from what is there.
        touch: annotations for pods, once all objects are applied.
        status: the Workspace's new status as a merge patch; None leaves it.
        events: transitions to be told.
        delete: objects to be deleted, once the status that speaks of it is stored.
        look_at: pods whose Events are to be listed, then decide again.
        ask: servers that are to be asked for their adapters, then decide again.
        retry_after_s: look again after this time even if nothing happens; None waits for an event.
    """

    finalizers: tuple[str, ...] | None = None
    create: tuple[Obj, ...] = ()
    apply: tuple[Obj, ...] = ()
    touch: tuple[PodTouch, ...] = ()
    status: dict[str, Any] | None = None
    events: tuple[EventDraft, ...] = ()
    delete: tuple[ObjectRef, ...] = ()
    look_at: tuple[PodRef, ...] = ()
    ask: tuple[ServerAddress, ...] = ()
    retry_after_s: float | None = None


def earliest(*delays_s: float | None) -> float | None:
    """The shortest of some delays; None among them means "no need"."""
    wanted = [delay for delay in delays_s if delay is not None]
    return min(wanted) if wanted else None
