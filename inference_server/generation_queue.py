"""The bounded queue between requests and the engine: one generation at a time, first come first served."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from inference_server.engine import Engine, GenerationResult, Sampling
from inference_server.errors import EngineFailed, NotReady, QueueFull

_LONGEST_RETRY_S = 60


class GenerationQueue:
    """Gives prompts to the engine's one thread, in order. Every method belongs to one event loop.

    Cancelling submit() (a client went away) takes a waiting prompt out of the queue and stops a running
    one after its present token.
    """

    def __init__(self, engine: Engine, max_waiting: int, on_failure: Callable[[str], None]) -> None:
        self._engine = engine
        self._max_waiting = max_waiting
        self._on_failure = on_failure
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="generate")
        self._jobs: set[threading.Event] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False
        self._mean_s = 1.0

    @property
    def depth(self) -> int:
        """Return how many prompts wait or run."""
        return len(self._jobs)

    async def submit(self, prompt: tuple[int, ...], sampling: Sampling) -> GenerationResult:
        """Wait for the turn, generate, and return the result.

        Raises:
            QueueFull: `max_waiting` prompts wait already.
            NotReady: the queue is closed, or was while this prompt waited or ran.
            RequestError: what the engine says of this prompt.
            EngineFailed: the engine is broken; on_failure has been told.
        """
        if self._closed:
            raise NotReady("this server is shutting down; send the request again", retry_after_s=1)
        if self.depth > self._max_waiting:
            raise QueueFull(
                f"{self.depth - 1} requests wait already and {self._max_waiting} may; send it again later",
                retry_after_s=self._retry_after_s(),
            )
        cancelled = threading.Event()
        self._jobs.add(cancelled)
        self._idle.clear()
        try:
            return await self._run(prompt, sampling, cancelled)
        finally:
            cancelled.set()
            self._jobs.discard(cancelled)
            if not self._jobs:
                self._idle.set()

    def close(self) -> None:
        """Accept no more prompts; those accepted go on."""
        self._closed = True

    def cancel_all(self) -> None:
        """Stop the running generation after its present token, and start none of the waiting ones."""
        for cancelled in self._jobs:
            cancelled.set()

    async def wait_idle(self, timeout_s: float) -> bool:
        """Wait until nothing waits or runs; False if that did not come within `timeout_s`."""
        try:
            await asyncio.wait_for(self._idle.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    async def _run(
        self, prompt: tuple[int, ...], sampling: Sampling, cancelled: threading.Event
    ) -> GenerationResult:
        loop = asyncio.get_running_loop()
        try:
            result, seconds = await loop.run_in_executor(
                self._thread, self._generate, prompt, sampling, cancelled
            )
        except EngineFailed as error:
            self.close()
            self._on_failure(str(error))
            raise
        self._mean_s += 0.2 * (seconds - self._mean_s)  # the last five requests or so count
        if cancelled.is_set():
            raise NotReady("this server is shutting down; send the request again", retry_after_s=1)
        return result

    def _generate(
        self, prompt: tuple[int, ...], sampling: Sampling, cancelled: threading.Event
    ) -> tuple[GenerationResult, float]:
        started = time.monotonic()
        if cancelled.is_set():  # it was cancelled while it waited
            return GenerationResult(prompt_tokens=len(prompt), answers=()), 0.0
        result = self._engine.generate(prompt, sampling, cancelled)
        return result, time.monotonic() - started

    def _retry_after_s(self) -> int:
        """Estimate when a place is free: the mean time of one request, for it frees one place."""
        return min(max(math.ceil(self._mean_s), 1), _LONGEST_RETRY_S)
