"""A keyed work queue: one worker per key, bursts collapse, back-off with jitter, two lanes.

A key that is added while a worker is busy with it comes back after that worker is done, so no change is
lost and no two workers ever hold the same key. Urgent adds (something changed) overtake resync adds
(start-up lists), so a user's change does not wait behind two thousand objects that are merely being read.
"""

import asyncio
import heapq
import random
from collections import deque
from collections.abc import Callable, Hashable
from time import monotonic
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

FIRST_RETRY_S = 0.05
LONGEST_RETRY_S = 120.0


class WorkQueue(Generic[Key]):
    """See the module's text.

    Args:
        clock: monotonic seconds.
        jitter: factor for the back-off of each retry, so that failures do not return in step.
    """

    def __init__(
        self,
        clock: Callable[[], float] = monotonic,
        jitter: Callable[[], float] = lambda: random.uniform(0.8, 1.2),  # noqa: S311 - spreads load only
    ) -> None:
        self._clock = clock
        self._jitter = jitter
        self._urgent: deque[Key] = deque()
        self._resync: deque[Key] = deque()
        # Waiting keys and their lane. An entry of a lane counts only while this says the same lane: a
        # promoted key leaves its old entry behind, to be skipped.
        self._lane: dict[Key, deque[Key]] = {}
        self._busy: set[Key] = set()
        self._due: dict[Key, float] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._sequence = 0
        self._failures: dict[Key, int] = {}
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._lane)

    def add(self, key: Key, *, urgent: bool = True) -> None:
        """Ask for work on `key`; asking again before it starts can only move it to the urgent lane."""
        lane = self._urgent if urgent else self._resync
        current = self._lane.get(key)
        if current is self._urgent or current is lane:
            return
        self._lane[key] = lane
        if key not in self._busy:
            self._push(key, lane)

    def add_after(self, key: Key, delay_s: float) -> None:
        """Ask for work on `key` later; the earliest of several wishes counts."""
        due = self._clock() + delay_s
        if due < self._due.get(key, float("inf")):
            self._due[key] = due
            self._sequence += 1
            heapq.heappush(self._heap, (due, self._sequence, key))
            self._changed.set()

    def retry(self, key: Key, *, at_least_s: float = 0.0) -> float:
        """Ask again after a failure, later each time. Returns the delay in seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        backoff = min(FIRST_RETRY_S * 2.0 ** min(failures, 20), LONGEST_RETRY_S) * self._jitter()
        delay = max(backoff, at_least_s)
        self.add_after(key, delay)
        return delay

    def forget(self, key: Key) -> None:
        """The key did well: its next failure starts with the shortest delay."""
        self._failures.pop(key, None)

    async def get(self) -> Key:
        """The next key, now held by the caller until `done`."""
        while True:
            self._move_due()
            for lane in (self._urgent, self._resync):
                while lane:
                    key = lane.popleft()
                    if self._lane.get(key) is lane and key not in self._busy:
                        del self._lane[key]
                        self._busy.add(key)
                        return key
            self._changed.clear()
            await self._wait()

    def done(self, key: Key) -> None:
        """Let go of a key from `get`; it comes back if it was added meanwhile."""
        self._busy.discard(key)
        if key in self._lane:
            self._push(key, self._lane[key])

    def _push(self, key: Key, lane: deque[Key]) -> None:
        lane.append(key)
        self._changed.set()

    def _move_due(self) -> None:
        now = self._clock()
        while self._heap and self._heap[0][0] <= now:
            due, _, key = heapq.heappop(self._heap)
            if self._due.get(key) == due:
                del self._due[key]
                self.add(key)

    async def _wait(self) -> None:
        delay = max(self._heap[0][0] - self._clock(), 0.0) if self._heap else None
        try:
            async with asyncio.timeout(delay):
                await self._changed.wait()
        except TimeoutError:
            return
