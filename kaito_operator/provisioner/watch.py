"""What the provisioner watches, and how its stores take it in; `shell.watch` does the watching."""

import asyncio
from collections.abc import Callable

from typing_extensions import override

from kaito_operator.api import machine
from kaito_operator.provisioner.claims import ClaimKey
from kaito_operator.provisioner.stores import NODE_KIND, ClaimStores
from kaito_operator.shell.store import Obj
from kaito_operator.shell.watch import Kind, ObjectWatch
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


class ClaimWatch(ObjectWatch):
    """The provisioner's: claims and nodes."""

    def __init__(
        self,
        stores: ClaimStores,
        queue: WorkQueue[ClaimKey],
        synced: asyncio.Event,
        on_relist: Callable[[Kind], None],
    ) -> None:
        super().__init__(watched_kinds(stores), queue, synced, on_relist)
        self.stores = stores

    @override
    def normalised(self, kind: Kind, body: Obj) -> Obj:
        return {**body, "kind": _KINDS[kind.plural]}

    @override
    def taken(self, kind: Kind, old: Obj | None, new: Obj) -> None:
        self.stores.index(old, new)

    @override
    def forgotten(self, kind: Kind, gone: Obj) -> None:
        self.stores.unindex(gone)
