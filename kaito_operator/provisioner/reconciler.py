"""One key of the queue: decide, perform, decide again until nothing is left to do now."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from kaito_operator.kube.client import path_of
from kaito_operator.provisioner import names
from kaito_operator.provisioner.azure_calls import LISTING, AzureCalls
from kaito_operator.provisioner.claims import Claim, ClaimKey, read_claim
from kaito_operator.provisioner.cloud import CloudFault
from kaito_operator.provisioner.decide import decide, is_given_up
from kaito_operator.provisioner.decision import Action, Context, Decision, Observed, WriteStatus
from kaito_operator.provisioner.metrics import Metrics
from kaito_operator.provisioner.nodes import read_node, release_patch
from kaito_operator.provisioner.perform import Performer
from kaito_operator.provisioner.pool import pool_name
from kaito_operator.provisioner.repair import may_repair
from kaito_operator.provisioner.stores import NODE_KIND, ClaimStores, pool_of_node

POOLS: ClaimKey = ("Pools", "")
"""Asks for a listing of all pools."""
COLLECT: ClaimKey = ("Collect", "")
"""Asks for a collection of what nobody wants."""

_ROUNDS = 10
_UNSETTLED_S = 5.0

logger = logging.getLogger(__name__)


@dataclass
class Reconciler:
    """Serves claims.

    Attributes:
        wake: asks for a key at once.
        wake_after: asks for a key later.
        watching: claims whose pools are in motion.
    """

    stores: ClaimStores
    azure: AzureCalls
    performer: Performer
    context: Callable[[], Context]
    metrics: Metrics
    wake: Callable[[ClaimKey], None]
    wake_after: Callable[[ClaimKey, float], None]
    poll_s: float
    watching: set[ClaimKey] = field(default_factory=set)
    _pools: dict[ClaimKey, tuple[str, str]] = field(default_factory=dict)

    async def reconcile(self, key: ClaimKey) -> float | None:
        """Bring one claim, or what it depends on, one step closer. Returns seconds to the next look."""
        if key == POOLS:
            return await self._list()
        if key[0] == NODE_KIND:
            return await self._let_go(key[1])
        for _ in range(_ROUNDS):
            stored = self.stores.claim(key)
            if stored is None:
                self._forget(key)
                return None
            claim = read_claim(stored)
            decision = decide(claim, self._observe(claim), self.context())
            self._watch(claim, decision)
            if not decision.actions:
                return decision.retry_after_s
            paused, pause = await self._perform(claim, decision)
            if paused:
                return pause
        logger.warning("a claim does not settle", extra={"kind": key[0], "claim": key[1]})
        return _UNSETTLED_S

    async def _perform(self, claim: Claim, decision: Decision) -> tuple[bool, float | None]:
        """Returns whether the rest waits, and for how long at most."""
        for action in decision.actions:
            pause = await self.performer.perform(claim, action)
            self._measure(claim, action)
            if pause is not None:
                waits = [s for s in (pause.seconds, decision.retry_after_s) if s is not None]
                return True, min(waits, default=None)
        return False, None

    def _observe(self, claim: Claim) -> Observed:
        pool = pool_name(claim)
        nodes = self.stores.nodes_of(pool)
        ending = claim.deleted is not None or is_given_up(claim)
        return Observed(
            sight=self.azure.pools.sight(pool),
            nodes=nodes,
            trouble=self.azure.trouble(claim.uid, ending=ending),
            alive=self.performer.alive,
            drained=frozenset(self.performer.drained & {node.uid for node in nodes}),
            pools=len(self.azure.pools),
            may_repair=self.context().budgets.repair is not None and self._may_repair(),
        )

    def _may_repair(self) -> bool:
        nodes = [read_node(obj) for obj in self.stores.nodes.values()]
        ours = [node for node in nodes if names.LABEL_CLAIM_UID in node.labels and node.registered]
        going = sum("deletionTimestamp" in claim["metadata"] for claim in self.stores.claims())
        return may_repair(ours, going)

    def _watch(self, claim: Claim, decision: Decision) -> None:
        self._pools[claim.key] = (claim.uid, pool_name(claim))
        if decision.watch_pool:
            self.watching.add(claim.key)
            self.wake_after(POOLS, self.poll_s)
        else:
            self.watching.discard(claim.key)

    def _forget(self, key: ClaimKey) -> None:
        self.watching.discard(key)
        if key in self._pools:
            self.azure.forget(*self._pools.pop(key))

    async def _list(self) -> float | None:
        """Look at all pools, and wake those who wait for that or whose pool is not what it was."""
        trouble = self.azure.troubles.of(LISTING)
        pause = max(trouble.wait_s if trouble else 0.0, self.azure.operations.gate_s)
        if pause > 0:
            return pause
        waiting, failed, changed = set(self.azure.waiting), False, set[str]()
        self.azure.waiting.clear()
        try:
            changed = await self.azure.list_all()
        except CloudFault:
            failed = True  # the claims tell of it
        for key in waiting.union(*(self.stores.claims_of(name) for name in changed)):
            self.wake(key)
        if failed:
            trouble = self.azure.troubles.of(LISTING)
            return trouble.wait_s if trouble else self.poll_s
        return self.poll_s if self.watching else None

    async def _let_go(self, name: str) -> float | None:
        """A Node of ours whose claim is gone: nothing of it is guarded any more once its pool is gone."""
        obj = self.stores.nodes.get("", name)
        if obj is None:
            return None
        node, pool = read_node(obj), pool_of_node(obj)
        sight = self.azure.pools.sight(pool)
        gone = sight.known and (sight.pool is None or sight.pool.is_deleting)
        if node.held and node.deleting and gone and not self.stores.claims_of(pool):
            await self.performer.kube.strategic_merge(path_of("v1", "nodes", None, name), release_patch(node))
        return None

    def _measure(self, claim: Claim, action: Action) -> None:
        became_usable = isinstance(action, WriteStatus) and "allocatable" in action.status
        if became_usable and not claim.was_initialized and claim.launch_began is not None:
            self.metrics.launch_seconds.observe((self.context().now - claim.launch_began).total_seconds())
