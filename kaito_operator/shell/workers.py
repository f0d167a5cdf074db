"""Workers: take a key, reconcile it, ask again later. Every failure becomes a later try."""

import asyncio
import contextlib
import logging
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from time import monotonic
from typing import ClassVar, Protocol

from prometheus_client import Counter, Histogram

from kaito_operator.kube.errors import ApiError, Conflict, NotFound, NotLeader, Overloaded
from kaito_operator.shell.heartbeat import Heartbeat
from kaito_operator.shell.store import NamespacedName
from kaito_operator.shell.workqueue import WorkQueue

NOT_LEADER_PAUSE_S = 1.0

logger = logging.getLogger(__name__)


class Counted(Protocol):
    """Where reconciles are counted."""

    reconciles: Counter
    reconcile_seconds: Histogram


@dataclass(kw_only=True)
class Workers(ABC):
    """Runs reconciles for the keys of the queue while this replica leads.

    Attributes:
        idle: set while no worker holds a key.
        timeout_s: after so long a reconcile is cut off.
        passing: errors that say nothing of us; they pass.
        passing_result: what a reconcile is counted as that one of them ended.
    """

    queue: WorkQueue[NamespacedName]
    leading: asyncio.Event
    synced: asyncio.Event
    heartbeat: Heartbeat
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    _draining: bool = field(default=False, init=False)

    timeout_s: ClassVar[float] = 60.0
    passing: ClassVar[tuple[type[Exception], ...]] = (ApiError, TimeoutError)
    passing_result: ClassVar[str] = "api_error"

    @property
    @abstractmethod
    def counted(self) -> Counted:
        """The metrics of this process."""

    @abstractmethod
    async def reconcile(self, key: NamespacedName) -> float | None:
        """Bring one key one step closer. Returns seconds until it wants to be looked at again."""

    @abstractmethod
    def resync(self) -> None:
        """Look at everything."""

    def again(self, key: NamespacedName, at_least_s: float = 0.0) -> float:
        """Ask again after a failure. Returns the delay in seconds."""
        return self.queue.retry(key, at_least_s=at_least_s)

    def fields(self, key: NamespacedName) -> dict[str, object]:
        """The key, as a log line tells it."""
        return {"key": key}

    async def work(self) -> None:
        """One worker: take keys for ever."""
        await self.synced.wait()  # a decision from half a picture would create what exists, or let it go
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

    async def drain(self, timeout_s: float) -> None:
        """Let the workers finish what they hold and take nothing more, but not longer than the timeout."""
        self._draining = True
        if self.heartbeat.busy:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self.idle.wait()

    async def _guarded(self, key: NamespacedName) -> None:
        """Reconcile and turn every failure into a later try."""
        result = "ok"
        began = monotonic()
        try:
            async with asyncio.timeout(self.timeout_s):
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
            self.again(key, at_least_s=0.1)
        except self.passing as error:
            result = self.passing_result
            pause = error.retry_after_s if isinstance(error, Overloaded) else None
            delay = self.again(key, at_least_s=pause or 0.0)
            told = {**self.fields(key), "error": str(error), "delay_s": round(delay, 2)}
            logger.warning("reconcile put off", extra=told)
        except Exception:
            result = "fault"
            self.again(key)
            logger.exception("reconcile failed", extra=self.fields(key))
        self.counted.reconciles.labels(result).inc()
        self.counted.reconcile_seconds.observe(monotonic() - began)
