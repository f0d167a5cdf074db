"""kopf at the edge: watch events of claims and nodes go into the stores and wake the claims they concern.

Like `shell.watch`, and for the same reasons: only `index` and `event` handlers, which never write.
"""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any

import kopf

from kaito_operator.api import machine
from kaito_operator.kube.login import watch_session
from kaito_operator.provisioner.claims import ClaimKey
from kaito_operator.provisioner.stores import NODE_KIND, ClaimStores
from kaito_operator.shell.store import Obj, key_of
from kaito_operator.shell.watch import Change, Kind
from kaito_operator.shell.workqueue import WorkQueue

_KINDS = {
    machine.MACHINE_PLURAL: machine.MACHINE_KIND,
    machine.NODE_CLAIM_PLURAL: machine.NODE_CLAIM_KIND,
    "nodes": NODE_KIND,
}


def watched_kinds(stores: ClaimStores) -> tuple[Kind, ...]:
    """Machines, NodeClaims and Nodes. A kind that is not installed is watched once it is."""
    return (
        Kind(machine.MACHINE_API_VERSION, machine.MACHINE_PLURAL, stores.machines, stores.keys_of),
        Kind(machine.NODE_CLAIM_API_VERSION, machine.NODE_CLAIM_PLURAL, stores.node_claims, stores.keys_of),
        Kind("v1", "nodes", stores.nodes, stores.keys_of),
    )


class ClaimWatch:
    """Wires watch events to stores and queue.

    Args:
        synced: set once every kind has been listed.
        on_relist: called with a kind that is listed again, since deletions may have been missed.
    """

    def __init__(
        self,
        stores: ClaimStores,
        queue: WorkQueue[ClaimKey],
        synced: asyncio.Event,
        on_relist: Callable[[Kind], None],
    ) -> None:
        self.stores = stores
        self.kinds = watched_kinds(stores)
        self.synced = synced
        self._queue = queue
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
        body = {**body, "kind": _KINDS[kind.plural]}
        old, changed = kind.store.put(body)
        change = Change(known=old is not None)
        if changed:
            change = Change(old, kind.store.get(*key_of(body)), change.known)
            self.stores.index(old, change.new or body)
        kind.changes[body["metadata"]["uid"]] = change

    def announce(self, kind: Kind, event: str | None, body: Obj) -> None:
        """Wake the claims that the change concerns."""
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

    def forgotten(self, kind: Kind, gone: Obj) -> None:
        """Drop what was remembered beside an object that left its store."""
        del kind
        self.stores.unindex(gone)
