"""The workers: take a key, reconcile it, and turn every failure into a later try."""

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field
from time import monotonic

from kaito_operator.kube.errors import ApiError, Conflict, NotFound, NotLeader, Overloaded
from kaito_operator.provisioner.claims import ClaimKey
from kaito_operator.provisioner.cloud import CloudFault
from kaito_operator.provisioner.collector import Collector
from kaito_operator.provisioner.metrics import Metrics
from kaito_operator.provisioner.reconciler import COLLECT, POOLS, Reconciler
from kaito_operator.shell.heartbeat import Heartbeat
from kaito_operator.shell.workqueue import WorkQueue

RECONCILE_TIMEOUT_S = 120.0
NOT_LEADER_PAUSE_S = 1.0

logger = logging.getLogger(__name__)


@dataclass
class Controller:
    """Runs reconciles for the keys of the queue while this replica leads.

    Attributes:
        collect_s: seconds between two collections.
        idle: set while no worker holds a key.
    """

    queue: WorkQueue[ClaimKey]
    reconciler: Reconciler
    collector: Collector
    collect_s: float
    leading: asyncio.Event
    synced: asyncio.Event
    metrics: Metrics
    heartbeat: Heartbeat
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    _draining: bool = field(default=False, init=False)

    async def work(self) -> None:
        """One worker: take keys for ever."""
        await self.synced.wait()  # a decision from half a picture would take a claim for gone
        while not self._draining:
            await asyncio.sleep(0)  # reconciles that await nothing must leave the elector its turn
            await self.leading.wait()
            key = await self.queue.get()
            self.heartbeat.busy[key] = monotonic()
            self.idle.clear()
            try:
                if self.leading.is_set() and not self._draining:
                    await self._guarded(key)
                else:
                    self.queue.add(key, urgent=False)
            finally:
                self.heartbeat.busy.pop(key, None)
                self.queue.done(key)
                if not self.heartbeat.busy:
                    self.idle.set()

    def resync(self) -> None:
        """Look at everything, and collect from time to time."""
        for obj in self.reconciler.stores.claims():
            self.queue.add((obj["kind"], obj["metadata"]["name"]), urgent=False)
        self.queue.add(POOLS)
        self.queue.add_after(COLLECT, self.collect_s)

    async def drain(self, timeout_s: float) -> None:
        """Let the workers finish what they hold and take nothing more, but not longer than the timeout."""
        self._draining = True
        if self.heartbeat.busy:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self.idle.wait()

    async def _guarded(self, key: ClaimKey) -> None:
        result, began = "ok", monotonic()
        try:
            async with asyncio.timeout(RECONCILE_TIMEOUT_S):
                again = await self._reconcile(key)
            self.queue.forget(key)
            if again is not None:
                self.queue.add_after(key, again)
        except NotLeader:
            result = "not_leader"
            self.queue.add_after(key, NOT_LEADER_PAUSE_S)
        except (Conflict, NotFound):
            # The store lags behind the API server; the watch event that is on its way settles it.
            result = "stale"
            self.queue.retry(key, at_least_s=0.1)
        except (ApiError, CloudFault, TimeoutError) as error:
            result = "put_off"
            pause = error.retry_after_s if isinstance(error, Overloaded) else None
            delay = self.queue.retry(key, at_least_s=pause or 0.0)
            logger.warning("put off", extra={"key": key, "error": str(error), "delay_s": round(delay, 2)})
        except Exception:
            result = "fault"
            self.queue.retry(key)
            logger.exception("reconcile failed", extra={"key": key})
        self.metrics.reconciles.labels(result).inc()
        self.metrics.reconcile_seconds.observe(monotonic() - began)

    async def _reconcile(self, key: ClaimKey) -> float | None:
        if key == COLLECT:
            with contextlib.suppress(CloudFault):  # told by a log line and the metric; no claim waits for it
                await self.collector.collect()
            return self.collect_s
        return await self.reconciler.reconcile(key)
