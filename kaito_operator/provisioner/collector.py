"""Garbage collection: pools without a claim, claims without a pool, Nodes without either.

A pool goes only when it carries our marks, no claim of its uid was known at two looks in a row, and the API
server, asked directly, does not know the claim. Claims without a pool are woken and find out by themselves.
"""

import logging
from dataclasses import dataclass, field

from kaito_operator.kube.client import path_of
from kaito_operator.kube.errors import NotFound
from kaito_operator.provisioner import names
from kaito_operator.provisioner.azure_calls import AzureCalls
from kaito_operator.provisioner.claims import API_VERSIONS, PLURALS
from kaito_operator.provisioner.decision import DeletePool
from kaito_operator.provisioner.metrics import Metrics
from kaito_operator.provisioner.pool import Pool
from kaito_operator.provisioner.reconciler import COLLECT, Reconciler
from kaito_operator.provisioner.stores import ClaimStores

logger = logging.getLogger(__name__)


@dataclass
class Collector:
    """See the module's text.

    Attributes:
        dry_run: count and log strays, and delete none.
    """

    stores: ClaimStores
    azure: AzureCalls
    reconciler: Reconciler
    metrics: Metrics
    dry_run: bool = False
    _seen: dict[str, str] = field(default_factory=dict)

    async def collect(self) -> None:
        """Look once.

        Raises:
            CloudFault: the pools could not be listed.
            ApiError: the API server could not be asked.
        """
        changed = await self.azure.list_all()
        strays = self._strays()
        for pool in strays:
            if self._seen.get(pool.name) == _uid(pool) and await self._has_no_claim(pool):
                await self._delete(pool)
        self._seen = {pool.name: _uid(pool) for pool in strays}
        self.metrics.strays_seen.set(len(strays))
        self._forget_nodes()
        for obj in self.stores.claims():
            self.reconciler.wake((obj["kind"], obj["metadata"]["name"]))
        for obj in self.stores.nodes.values():
            metadata = obj["metadata"]
            if names.LABEL_CLAIM_UID in metadata.get("labels", {}) and "deletionTimestamp" in metadata:
                for key in self.stores.keys_of(obj):
                    self.reconciler.wake(key)
        logger.debug("collected", extra={"strays": len(strays), "changed": len(changed)})

    def _forget_nodes(self) -> None:
        performer = self.reconciler.performer
        present = {obj["metadata"]["uid"] for obj in self.stores.nodes.values()}
        performer.drained &= present
        performer.alive = {uid: alive for uid, alive in performer.alive.items() if uid in present}

    def _strays(self) -> list[Pool]:
        stored = (*self.stores.machines.values(), *self.stores.node_claims.values())
        live = {obj["metadata"].get("uid") for obj in stored}
        return [p for p in self.azure.pools.ours() if not p.is_deleting and _uid(p) not in live]

    async def _has_no_claim(self, pool: Pool) -> bool:
        kind, name = pool.tags.get(names.TAG_CLAIM_KIND, ""), pool.tags.get(names.TAG_CLAIM_NAME, "")
        if kind not in PLURALS or not name:
            logger.warning("a pool's marks were changed by hand", extra={"pool": pool.name})
            return False
        try:
            path = path_of(API_VERSIONS[kind], PLURALS[kind], None, name)
            live = await self.reconciler.performer.kube.get(path)
        except NotFound:
            return True
        return bool(live["metadata"].get("uid") != _uid(pool))

    async def _delete(self, pool: Pool) -> None:
        logger.warning(
            "stray pool", extra={"pool": pool.name, "claim": _uid(pool), "deleted": not self.dry_run}
        )
        if self.dry_run or not self.azure.operations.begin(COLLECT):
            return
        try:
            await self.azure.delete_pool(pool.name, DeletePool(pool.name, ignore_pdb=False))
        finally:
            self.azure.operations.end()
        self.metrics.strays.inc()


def _uid(pool: Pool) -> str:
    return pool.tags.get(names.TAG_CLAIM_UID, "")
