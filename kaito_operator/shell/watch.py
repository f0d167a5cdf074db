"""kopf at the edge: watch events go into the stores and wake those they concern. Nothing else.

Only `index` and `event` handlers are registered: they are the ones that never write to an object. The
index functions fill the stores (kopf runs them for all kinds before the first event handler, which is
the wait for a complete first picture) and return None, so kopf's own indices stay empty.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain, repeat
from time import monotonic
from typing import Any

import kopf
from typing_extensions import override

from kaito_operator.api import labels
from kaito_operator.api.machine import (
    MACHINE_API_VERSION,
    MACHINE_PLURAL,
    NODE_CLAIM_API_VERSION,
    NODE_CLAIM_PLURAL,
)
from kaito_operator.kube.login import watch_session
from kaito_operator.shell.nothing_kept import NoDiffBase, NoProgress
from kaito_operator.shell.store import NamespacedName, Obj, Store, key_of
from kaito_operator.shell.stores import Stores, WorkspaceKey, claim_owner_key, owner_key
from kaito_operator.shell.workqueue import WorkQueue

UNUSED_FINALIZER = "kopf.kaito.sh/unused"
"""kopf takes its finalizer off every object that none of its handlers has to see die. Ours has to stay."""

Owners = Callable[[Obj | None], set[NamespacedName]]


@dataclass(frozen=True)
class Change:
    """What one watch event did to a store.

    Attributes:
        old, new: the object before and after; both None when nothing that matters changed.
        known: the object was there before.
    """

    old: Obj | None = None
    new: Obj | None = None
    known: bool = False


@dataclass(frozen=True)
class Kind:
    """A watched kind.

    Attributes:
        owners: the keys of the queue that an object of this kind concerns.
        selector: label that the API server filters by; None watches all objects.
    """

    group_version: str
    plural: str
    store: Store
    owners: Owners
    selector: str | None = None
    changes: dict[str, Change] = field(default_factory=dict)

    @property
    def selector_key(self) -> tuple[str, str]:
        """(group/version, plural), as kopf names kinds."""
        return self.group_version, self.plural

    @property
    def query(self) -> dict[str, str]:
        """What a listing of the watched objects asks for."""
        return {"labelSelector": self.selector} if self.selector else {}


def watched_kinds(stores: Stores) -> tuple[Kind, ...]:
    """Every kind of which a decision is taken."""
    ours = labels.LABEL_WORKSPACE

    def itself(obj: Obj | None) -> set[WorkspaceKey]:
        return {(obj["metadata"]["namespace"], obj["metadata"]["name"])} if obj else set()

    def child(obj: Obj | None) -> set[WorkspaceKey]:
        owner = owner_key(obj)
        return {owner} if owner else set()

    def node(obj: Obj | None) -> set[WorkspaceKey]:
        return stores.workspaces_on_node(obj) if obj else set()

    def claim(obj: Obj | None) -> set[WorkspaceKey]:
        owner = claim_owner_key(obj)
        return {owner} if owner else set()

    return (
        Kind(labels.API_VERSION, labels.PLURAL, stores.workspaces, itself),
        Kind("apps/v1", "deployments", stores.deployments, child, ours),
        Kind("apps/v1", "statefulsets", stores.statefulsets, child, ours),
        Kind(MACHINE_API_VERSION, MACHINE_PLURAL, stores.machines, claim, ours),
        Kind(NODE_CLAIM_API_VERSION, NODE_CLAIM_PLURAL, stores.nodeclaims, claim, ours),
        Kind("v1", "services", stores.services, child, ours),
        Kind("v1", "configmaps", stores.configmaps, child, ours),
        Kind("v1", "pods", stores.pods, child, ours),
        Kind("v1", "nodes", stores.nodes, node),
    )


class Backoffs:
    """Pauses between tries of a watch, for ever: a watch that gives up would end the process.

    A class, because kopf starts over with each request and would find a generator used up.
    """

    def __iter__(self) -> Any:  # noqa: ANN401 - kopf accepts any iterable of seconds
        """0.2 s first, then at most 5 s, so that recovery is quick."""
        return chain((0.2, 0.5, 1.0, 2.0, 3.0), repeat(5.0))


def watch_settings(kinds: tuple[Kind, ...]) -> kopf.OperatorSettings:
    """Kopf as a list-and-watch library: no peering, no Events, no annotations."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.persistence.finalizer = UNUSED_FINALIZER
    settings.persistence.diffbase_storage = NoDiffBase()
    settings.persistence.progress_storage = NoProgress()
    settings.watching.server_timeout = 300  # integers: the API server refuses 300.0
    settings.watching.client_timeout = 330
    settings.watching.connect_timeout = 10
    settings.watching.reconnect_backoff = 0.1
    settings.watching.chunk_size = 500
    settings.networking.request_timeout = 30
    settings.networking.error_backoffs = Backoffs()
    settings.queueing.idle_timeout = 2.0
    for kind in kinds:
        if kind.selector:
            settings.watching.label_selectors[kind.selector_key] = kind.selector
    return settings


class ObjectWatch:
    """Wires watch events to stores and queue.

    Args:
        kinds: what is watched, each with its store.
        synced: set once every kind has been listed; kopf runs no event handler before that.
        on_relist: called with a kind that is listed again; deletions may have been missed meanwhile,
            so a sweep is due.
    """

    def __init__(
        self,
        kinds: tuple[Kind, ...],
        queue: WorkQueue[NamespacedName],
        synced: asyncio.Event,
        on_relist: Callable[[Kind], None],
    ) -> None:
        self.kinds = kinds
        self._queue = queue
        self.synced = synced
        self._on_relist = on_relist

    def registry(self) -> kopf.OperatorRegistry:
        """The handlers, in a registry of our own."""
        registry = kopf.OperatorRegistry()

        @kopf.on.login(registry=registry)
        async def login(**_: Any) -> kopf.AiohttpSession:  # noqa: ANN401 - kopf's arguments
            return watch_session()

        for kind in self.kinds:
            self._register(registry, kind)
        return registry

    def _register(self, registry: kopf.OperatorRegistry, kind: Kind) -> None:
        # Coroutines, though they await nothing: kopf runs plain functions in threads, out of order.
        @kopf.index(*kind.selector_key, id=f"store-{kind.plural}", registry=registry)
        async def store(body: kopf.Body, **_: Any) -> None:  # noqa: ANN401 - kopf's arguments
            self.take(kind, dict(body))

        @kopf.on.event(*kind.selector_key, id=f"event-{kind.plural}", registry=registry)
        async def event(type: str | None, body: kopf.Body, **_: Any) -> None:  # noqa: ANN401 - as above
            self.announce(kind, type, dict(body))

    def take(self, kind: Kind, body: Obj) -> None:
        """Put the object into its store and remember what changed, for `announce`."""
        body = self.normalised(kind, body)
        old, changed = kind.store.put(body)
        change = Change(known=old is not None)
        if changed:
            change = Change(old, kind.store.get(*key_of(body)), change.known)
            self.taken(kind, old, change.new or body)
        kind.changes[body["metadata"]["uid"]] = change

    def announce(self, kind: Kind, event: str | None, body: Obj) -> None:
        """Wake the keys that the change concerns: those of the object before and after."""
        self.synced.set()
        kind.store.last_event_at = monotonic()
        change = kind.changes.pop(body["metadata"]["uid"], Change())
        if event == "DELETED":
            change = Change(old=self.forget(kind, body))
        elif event is None and change.known:
            self._on_relist(kind)
        for key in kind.owners(change.old) | kind.owners(change.new):
            self._queue.add(key, urgent=event is not None)

    def forget(self, kind: Kind, body: Obj) -> Obj | None:
        """Drop a deleted object from its store."""
        gone = kind.store.delete(body["metadata"])
        if gone is not None:
            self.forgotten(kind, gone)
        return gone

    def normalised(self, _kind: Kind, body: Obj) -> Obj:
        """The object as its store holds it."""
        return body

    def taken(self, _kind: Kind, _old: Obj | None, _new: Obj) -> None:
        """Remember what is to be known beside an object that has changed in its store."""

    def forgotten(self, _kind: Kind, _gone: Obj) -> None:
        """Drop what was remembered beside an object that left its store."""


class Watch(ObjectWatch):
    """The operator's: Workspaces, and what belongs to them."""

    def __init__(
        self,
        stores: Stores,
        queue: WorkQueue[WorkspaceKey],
        synced: asyncio.Event,
        on_relist: Callable[[Kind], None],
    ) -> None:
        super().__init__(watched_kinds(stores), queue, synced, on_relist)
        self.stores = stores

    @override
    def taken(self, kind: Kind, old: Obj | None, new: Obj) -> None:
        if kind.store is self.stores.pods:
            self.stores.index_pod(old, new)
        if kind.store in self.stores.claim_stores:
            self.stores.index_claim(old, new)

    @override
    def forgotten(self, kind: Kind, gone: Obj) -> None:
        if kind.store is self.stores.pods:
            self.stores.forget_pod(gone)
        if kind.store in self.stores.claim_stores:
            self.stores.forget_claim(gone, datetime.now(UTC))
        if kind.store is self.stores.workspaces:
            self.stores.forget_workspace((gone["metadata"]["namespace"], gone["metadata"]["name"]))
