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
    """A pod whose Events are worth a look."""

    namespace: str
    name: str
    uid: str


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
        status: the Workspace's new status as a merge patch; None leaves it.
        events: transitions to be told.
        delete: objects to be deleted, once the status that speaks of it is stored.
        look_at: pods whose Events are to be listed, then decide again.
        retry_after_s: look again after this time even if nothing happens; None waits for an event.
    """

    finalizers: tuple[str, ...] | None = None
    create: tuple[Obj, ...] = ()
    apply: tuple[Obj, ...] = ()
    status: dict[str, Any] | None = None
    events: tuple[EventDraft, ...] = ()
    delete: tuple[ObjectRef, ...] = ()
    look_at: tuple[PodRef, ...] = ()
    retry_after_s: float | None = None


def earliest(*delays_s: float | None) -> float | None:
    """The shortest of some delays; None among them means "no need"."""
    wanted = [delay for delay in delays_s if delay is not None]
    return min(wanted) if wanted else None
