"""Requests to Azure on behalf of claims: admitted, remembered, and their failures turned into pauses."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from time import monotonic

from kaito_operator.kube.errors import NotLeader
from kaito_operator.provisioner.claims import Claim, ClaimKey
from kaito_operator.provisioner.cloud import Cloud, CloudFault, PoolExists
from kaito_operator.provisioner.decision import AskForCause, DeletePool, LookAtPool, PutPool, Trouble
from kaito_operator.provisioner.faults import AUTH, BUSY, DOWN, THROTTLED, AzureError, Fault, classify
from kaito_operator.provisioner.memory import Troubles
from kaito_operator.provisioner.metrics import Metrics
from kaito_operator.provisioner.operations import Operations
from kaito_operator.provisioner.pause import Pause
from kaito_operator.provisioner.pools import Pools

LISTING = "listing of all pools"
_LOOK, _DELETE = "/look", "/delete"
_ROOM_S = 15.0  # a key that waits for room looks again after this, should nobody wake it

logger = logging.getLogger(__name__)


@dataclass
class AzureCalls:
    """Speaks to Azure.

    Attributes:
        may_write: True while this replica holds the Lease.
        list_soon: has all pools listed at once.
        waiting: claims that are woken by the next listing.
        refused: Azure did not accept our identity when last asked.
    """

    cloud: Cloud
    pools: Pools
    operations: Operations
    troubles: Troubles
    metrics: Metrics
    may_write: Callable[[], bool]
    list_soon: Callable[[], None]
    clock: Callable[[], float] = monotonic
    waiting: set[ClaimKey] = field(default_factory=set)
    refused: str = ""

    def trouble(self, uid: str, *, ending: bool) -> Trouble | None:
        """What keeps a claim from being served, or from its end: its last request, or the last listing."""
        own = self.troubles.of(uid + _DELETE if ending else uid) or self.troubles.of(uid + _LOOK)
        return own or (None if self.pools.listed else self.troubles.of(LISTING))

    def forget(self, uid: str, pool: str) -> None:
        """The claim is gone."""
        for about in (uid, uid + _LOOK, uid + _DELETE):
            self.troubles.clear(about)
        self.pools.forget(pool)

    def ask_for_listing(self, key: ClaimKey) -> Pause:
        """The claim is woken by the next listing."""
        self.waiting.add(key)
        trouble = self.troubles.of(LISTING)
        if trouble is None or trouble.wait_s <= 0:
            self.list_soon()
        return Pause()

    async def list_all(self) -> set[str]:
        """List the pools. Returns the names of those that changed.

        Raises:
            CloudFault: and it is remembered.
        """
        asked_at = self.clock()
        try:
            pools = await self.cloud.list_pools()
        except CloudFault as error:
            self._failed("list", LISTING, error.error)
            raise
        self._worked("list", LISTING)
        changed = self.pools.take_listing(pools, asked_at)
        self.operations.changed()
        return changed

    async def look(self, claim: Claim, action: LookAtPool | AskForCause) -> Pause | None:
        """Ask for one pool by name, or why it failed."""
        about = claim.uid + _LOOK
        if (pause := self._held_up(about)) is not None:
            return pause
        asked_at = self.clock()
        try:
            if isinstance(action, AskForCause):
                await self._ask_for_cause(action.name)
            else:
                self.pools.take(action.name, await self.cloud.get_pool(action.name), asked_at)
        except CloudFault as error:
            self._failed("get", about, error.error)
            return None
        self._worked("get", about)
        return None

    async def put(self, claim: Claim, action: PutPool) -> Pause | None:
        """Begin to create the pool, unless Azure would refuse it anyway."""
        if not self.operations.begin(claim.key):
            return Pause(self.operations.gate_s or _ROOM_S)
        try:
            refusal = await self.cloud.refusal(action.plan)
            if refusal is not None:
                self._note("precheck", claim.uid, refusal)
            else:
                await self._put(claim, action)
        finally:
            self.operations.end()
        return None

    async def _put(self, claim: Claim, action: PutPool) -> None:
        self._fence()
        try:
            pool = await self.cloud.put_pool(action.name, action.body)
        except PoolExists:
            return  # looked at by name next: it may be ours, from a request that was not answered
        except CloudFault as error:
            self._failed("put", claim.uid, error.error)
            return
        finally:
            self.pools.requested(action.name)
        self._worked("put", claim.uid)
        self.operations.succeeded()
        self.pools.accepted(pool)
        logger.info(
            "pool requested", extra={"claim": claim.name, "pool": pool.name, "type": action.plan.vm_size}
        )

    async def delete(self, claim: Claim, action: DeletePool) -> Pause | None:
        """Begin to delete the pool."""
        about = claim.uid + _DELETE
        if (pause := self._held_up(about)) is not None:
            return pause
        if not self.operations.begin(claim.key):
            return Pause(self.operations.gate_s or _ROOM_S)
        try:
            await self.delete_pool(about, action)
        finally:
            self.operations.end()
        return None

    async def delete_pool(self, about: str, action: DeletePool) -> None:
        """The DELETE itself; its failure is remembered."""
        self._fence()
        try:
            await self.cloud.delete_pool(action.name, ignore_pdb=action.ignore_pdb)
        except CloudFault as error:
            self.pools.requested(action.name)
            self._failed("delete", about, error.error)
            return
        self._worked("delete", about)
        self.operations.succeeded()
        self.pools.leaving(action.name)
        logger.info("pool deletion requested", extra={"pool": action.name})

    async def _ask_for_cause(self, name: str) -> None:
        pool = self.pools.sight(name).pool
        operation = self.pools.operation(name)
        cause = await self.cloud.cause_of(name, operation) if pool is not None or operation else None
        self.pools.explained(name, cause)

    def _fence(self) -> None:
        if not self.may_write():
            msg = "nothing was asked of Azure: this replica does not hold the Lease"
            raise NotLeader(msg)

    def _held_up(self, about: str) -> Pause | None:
        """The last request about this failed a moment ago, or Azure wants a pause of all."""
        trouble = self.troubles.of(about)
        wait = max(trouble.wait_s if trouble else 0.0, self.operations.gate_s)
        return Pause(wait) if wait > 0 else None

    def _failed(self, what: str, about: str, error: AzureError) -> None:
        fault = classify(error)
        if fault.final and what != "put":
            fault = replace(fault, reason=DOWN)  # only a request for a pool can be refused for good
        self._note(what, about, fault)

    def _note(self, what: str, about: str, fault: Fault) -> None:
        """Remember a failure; the claim is decided on anew, since its status is to tell of it."""
        pause = self.troubles.note(about, fault)
        self.metrics.arm_requests.labels(what, fault.reason).inc()
        logger.warning(
            "azure said no",
            extra={"request": what, "about": about, "reason": fault.reason, "detail": fault.detail[:300]},
        )
        if fault.reason == THROTTLED:
            self.operations.close_for(pause)
        if fault.reason == BUSY:
            self.operations.collided()
        self.refused = fault.detail if fault.reason == AUTH else self.refused

    def _worked(self, what: str, about: str) -> None:
        self.metrics.arm_requests.labels(what, "ok").inc()
        self.refused = ""
        self.troubles.clear(about)
