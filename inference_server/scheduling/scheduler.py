"""Scheduler: many requests on one engine. New rows join between steps, cancelled ones leave there.

One thread makes the steps; everything else belongs to one event loop. The loop hands over jobs and
functions, the thread hands back the pieces of one step at a time, so that a step costs one wake-up however
many rows it has.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from inference_server.engine import Engine, KvUsage
from inference_server.errors import EngineFailed, NotReady, QueueFull, ServerError
from inference_server.scheduling.row import Job
from inference_server.scheduling.steps import Pieces, Steps, place_of
from inference_server.scheduling.stream import Generation, Stream

T = TypeVar("T")
_log = logging.getLogger(__name__)
_LONGEST_RETRY_S = 60
_BEAT_S = 1.0  # so long a lost member of a group may go unnoticed while nothing is asked


@dataclass(frozen=True)
class Limits:
    """How much is taken on. `rows` are generated together, `waiting` requests may wait beside them."""

    rows: int
    waiting: int
    timeout_s: float


class Scheduler:
    """See the module. `on_failure` is told in the event loop when the engine is broken for good."""

    def __init__(
        self,
        engine: Engine,
        limits: Limits,
        on_failure: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits
        self._on_failure = on_failure
        self._clock = clock
        self._steps = Steps(engine, limits.rows, clock)
        self._wake = threading.Condition()
        self._incoming: deque[Job] = deque()
        self._functions: deque[tuple[Callable[[], object], Future[object]]] = deque()
        self._jobs: set[Job] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._mean_s = 1.0
        self._beat_s: float | None = None
        self._failure: EngineFailed | None = None

    @property
    def depth(self) -> int:
        """Return how many requests wait or run."""
        return len(self._jobs)

    @property
    def running_rows(self) -> int:
        """Return how many rows are in the engine's batch."""
        return self._steps.running

    @property
    def waiting(self) -> int:
        """Return how many requests have no row in the batch yet."""
        return sum(1 for job in self._jobs if not job.running)

    @property
    def step_count(self) -> int:
        """Return how many steps there were."""
        return self._steps.count

    @property
    def step_seconds(self) -> float:
        """Return the time that all steps took together."""
        return self._steps.seconds

    @property
    def rows_stepped(self) -> int:
        """Return how many rows all steps had, added up."""
        return self._steps.rows_stepped

    @property
    def kv(self) -> KvUsage:
        """Return the use of the memory for keys and values."""
        return self._steps.kv

    def submit(self, generation: Generation) -> Stream:
        """Queue a request and return its stream.

        Raises:
            QueueFull: as many requests wait as may.
            NotReady: the server is shutting down.
            BadRequest: this engine could never generate it.
        """
        if self._closed:
            raise _leaving()
        self._steps.check(generation.rows[0])  # the others differ in their seeds alone
        room = self._limits.rows - self._steps.running
        waiting = self.waiting
        if waiting >= self._limits.waiting + max(room, 0):
            raise QueueFull(
                f"{waiting} requests wait already and {self._limits.waiting} may; send it again later",
                retry_after_s=self._retry_after_s(),
            )
        now = self._clock()
        stream = Stream(
            _answers(generation), len(generation.rows[0].prompt), lambda: self._cancel(job), self._clock
        )
        job = Job(generation, stream, now, now + self._limits.timeout_s)
        self._jobs.add(job)
        self._idle.clear()
        self._start()
        with self._wake:
            self._incoming.append(job)
            self._wake.notify()
        return stream

    async def between_steps(self, function: Callable[[], T]) -> T:
        """Run `function` in the engine's thread when no step runs, and return what it returns.

        Raises:
            EngineFailed: the engine is broken, so no thread would ever run it.
        """
        future: Future[object] = Future()
        self._start()
        with self._wake:
            if self._failure is not None:
                raise self._failure
            self._functions.append((function, future))
            self._wake.notify()
        result: T = await asyncio.wrap_future(future)  # type: ignore[arg-type] # function's own type
        return result

    def revisions_in_use(self) -> frozenset[str]:
        """Return the adapter revisions of all requests that wait or run."""
        return frozenset(row.adapter for job in self._jobs for row in job.generation.rows)

    async def unless_in_use(self, revision: str, function: Callable[[], None]) -> bool:
        """Run `function` between steps if no request uses a revision; say whether it ran.

        The caller sees to it that no new request with this revision comes meanwhile.

        Raises:
            EngineFailed: the engine is broken.
        """
        if revision in self.revisions_in_use():
            return False

        def run() -> bool:
            # Rows of a request that was cancelled just now are still in the batch.
            if revision in self._steps.revisions():
                return False
            function()
            return True

        return await self.between_steps(run)

    def close(self) -> None:
        """Accept no more requests; those accepted go on."""
        self._closed = True

    def cancel_all(self) -> None:
        """End every request with NotReady, after the present step."""
        for job in list(self._jobs):
            self._end(job, _leaving())

    async def wait_idle(self, timeout_s: float) -> bool:
        """Wait until nothing waits or runs; False if that did not come within `timeout_s`."""
        try:
            await asyncio.wait_for(self._idle.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    def begin(self) -> None:
        """Start the engine's thread, once the engine is loaded: it watches the other members of a group."""
        if self._steps.grouped:
            self._beat_s = _BEAT_S
        self._start()

    def _start(self) -> None:
        if self._thread is None:
            self._loop = asyncio.get_running_loop()
            # A daemon: a step cannot be interrupted, and the process must end all the same.
            self._thread = threading.Thread(target=self._run, name="generate", daemon=True)
            self._thread.start()

    def _cancel(self, job: Job) -> None:
        job.cancelled = True
        self._forget(job)
        with self._wake:
            self._wake.notify()

    def _end(self, job: Job, error: ServerError) -> None:
        job.cancelled = True
        job.stream.fail(error)
        self._forget(job)

    def _forget(self, job: Job) -> None:
        self._jobs.discard(job)
        if not self._jobs:
            self._idle.set()

    def _retry_after_s(self) -> int:
        """Estimate when a place is free: the mean time of one request, over the places."""
        return min(max(math.ceil(self._mean_s / max(self._limits.rows, 1)), 1), _LONGEST_RETRY_S)

    # In the engine's thread.

    def _run(self) -> None:
        while True:
            arrived = self._next()
            try:
                pieces = self._steps.advance(arrived)
            except EngineFailed as error:
                self._give_up(error)
                return
            except Exception as error:  # noqa: BLE001 - a thread: every request would wait for ever
                _log.error("the engine's thread failed", extra=place_of(error))
                self._give_up(EngineFailed(f"{type(error).__name__} between steps; the log has the place"))
                return
            if pieces:
                self._post(partial(self._deliver, pieces))

    def _next(self) -> list[Job]:
        """Wait for something to do, or for the time of a beat; call functions, and return new jobs."""
        with self._wake:
            while not (self._incoming or self._functions or self._steps.busy):
                if not self._wake.wait(self._beat_s):
                    break
            arrived = list(self._incoming)
            self._incoming.clear()
            functions = list(self._functions)
            self._functions.clear()
        for function, future in functions:
            _call(function, future)
        return arrived

    def _give_up(self, error: EngineFailed) -> None:
        with self._wake:
            self._failure = error
            left = [future for _, future in self._functions]
            self._functions.clear()
        for future in left:
            if future.set_running_or_notify_cancel():  # else nobody waits any more, and it would raise here
                future.set_exception(error)
        self._post(partial(self._broken, error))

    def _post(self, callback: Callable[[], None]) -> None:
        assert self._loop is not None  # noqa: S101 - set before the thread starts
        try:
            self._loop.call_soon_threadsafe(callback)
        except RuntimeError:  # the loop is closed: the process is ending
            return

    # Back in the event loop.

    def _deliver(self, pieces: Pieces) -> None:
        for job, deltas, error in pieces:
            if job.cancelled:
                continue
            if deltas:
                job.stream.deliver(deltas)
            if error is not None:
                self._end(job, error)
            elif not job.stream.open:
                self._mean_s += 0.2 * (self._clock() - job.submitted - self._mean_s)
                self._forget(job)

    def _broken(self, error: EngineFailed) -> None:
        self.close()
        self._on_failure(str(error))
        for job in list(self._jobs):
            self._end(job, error)


def _answers(generation: Generation) -> int:
    first = generation.rows[0].sampling
    return first.num_return_sequences if first.num_beams > 1 else len(generation.rows)


def _call(function: Callable[[], object], future: Future[object]) -> None:
    if not future.set_running_or_notify_cancel():  # nobody waits for it any more
        return
    try:
        result = function()
    except Exception as error:  # noqa: BLE001 - it belongs to whoever waits for the future
        future.set_exception(error)
    else:
        future.set_result(result)


def _leaving() -> NotReady:
    return NotReady("this server is shutting down; send the request again", retry_after_s=1)
