"""The workers: take a key, read the stores, decide, execute, ask again later. No decision is taken here."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic

from kaito_operator.kube.errors import ApiError, Conflict, NotFound, NotLeader, Overloaded
from kaito_operator.kube.execute import Executor
from kaito_operator.reconcile.decide import Context, decide
from kaito_operator.reconcile.observed import ClusterFacts
from kaito_operator.shell.heartbeat import Heartbeat
from kaito_operator.shell.metrics import Metrics
from kaito_operator.shell.stores import Stores, WorkspaceKey
from kaito_operator.shell.workqueue import WorkQueue

RECONCILE_TIMEOUT_S = 60.0
NOT_LEADER_PAUSE_S = 1.0

logger = logging.getLogger(__name__)


@dataclass
class Controller:
    """Runs reconciles for the keys of the queue while this replica leads.

    Attributes:
        idle: set while no worker holds a key.
    """

    stores: Stores
    queue: WorkQueue[WorkspaceKey]
    executor: Executor
    facts: Callable[[], ClusterFacts]
    context: Callable[[datetime], Context]
    leading: asyncio.Event
    synced: asyncio.Event
    metrics: Metrics
    heartbeat: Heartbeat
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    _draining: bool = field(default=False, init=False)

    async def work(self) -> None:
        """One worker: take keys for ever."""
        await self.synced.wait()  # a decision from half a picture would create what exists
        while not self._draining:
            # A reconcile that writes nothing awaits nothing: a thousand in a row would keep the elector
            # from its turn, and the Lease would be lost.
            await asyncio.sleep(0)
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
        """Look at every Workspace."""
        for key in self.stores.workspaces.names():
            self.queue.add(key, urgent=False)

    async def drain(self, timeout_s: float) -> None:
        """Let the workers finish what they hold and take nothing more, but not longer than the timeout."""
        self._draining = True
        if self.heartbeat.busy:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self.idle.wait()

    async def _guarded(self, key: WorkspaceKey) -> None:
        """Reconcile and turn every failure into a later try."""
        result = "ok"
        began = monotonic()
        try:
            async with asyncio.timeout(RECONCILE_TIMEOUT_S):
                again = await self.reconcile(key)
            self.queue.forget(key)
            if again is not None:
                self.queue.add_after(key, again)
        except NotLeader:
            # Not at once: this would spin and keep the elector, which is to notice too, from its turn.
            result = "not_leader"
            self.queue.add_after(key, NOT_LEADER_PAUSE_S)
        except (Conflict, NotFound):
            # The store lags behind the API server; the watch event that is on its way settles it.
            result = "stale"
            self._again(key, at_least_s=0.1)
        except (ApiError, TimeoutError) as error:
            result = "api_error"
            pause = error.retry_after_s if isinstance(error, Overloaded) else None
            delay = self._again(key, at_least_s=pause or 0.0)
            logger.warning("reconcile put off", extra=_fields(key, error=str(error), delay_s=round(delay, 2)))
        except Exception:
            result = "fault"
            self._again(key)
            logger.exception("reconcile failed", extra=_fields(key))
        self.metrics.reconciles.labels(result).inc()
        self.metrics.reconcile_seconds.observe(monotonic() - began)

    def _again(self, key: WorkspaceKey, at_least_s: float = 0.0) -> float:
        self.metrics.retries.inc()
        return self.queue.retry(key, at_least_s=at_least_s)

    async def reconcile(self, key: WorkspaceKey) -> float | None:
        """Bring one Workspace one step closer. Returns seconds until it wants to be looked at again."""
        workspace = self.stores.workspaces.get(*key)
        if workspace is None:
            await self.executor.delete_orphans(key, self.stores.claims_of(key))
            return None
        observed = self.stores.observe(key, self.facts())
        decision = decide(workspace, observed, self.context(datetime.now(UTC)))
        if await self.executor.execute(workspace, decision):
            return 0.0
        return decision.retry_after_s


def _fields(key: WorkspaceKey, **more: object) -> dict[str, object]:
    return {"namespace": key[0], "workspace": key[1], **more}
