"""Does the event loop still turn, and does no worker hang? The answer behind /healthz."""

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from time import monotonic

BEAT_S = 1.0
LATE_S = 10.0
STUCK_S = 180.0


@dataclass
class Heartbeat:
    """Beats once a second on the event loop.

    Attributes:
        lag_s: how late the last beat was; a blocking call anywhere shows here.
        busy: since when each worker has held its key.
    """

    clock: Callable[[], float] = monotonic
    lag_s: float = 0.0
    beat_at: float = field(default_factory=monotonic)
    busy: dict[Hashable, float] = field(default_factory=dict)

    async def run(self) -> None:
        """Beat for ever."""
        while True:
            due = self.clock() + BEAT_S
            await asyncio.sleep(BEAT_S)
            self.lag_s = max(self.clock() - due, 0.0)
            self.beat_at = self.clock()

    def trouble(self) -> str | None:
        """What is wrong, or None."""
        now = self.clock()
        if now - self.beat_at > LATE_S:
            return f"the event loop has not turned for {now - self.beat_at:.0f} s"
        stuck = [key for key, since in self.busy.items() if now - since > STUCK_S]
        if stuck:
            return f"workers hang on {stuck[:3]}"
        return None
