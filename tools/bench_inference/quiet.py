"""What other programs do on this machine meanwhile: they decide how much a time is worth."""

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tools.bench.usage import CLOCK_TICK_HZ, usage

QUIET_CORES = 0.15
"""Cores that others may use when a measurement begins."""
DISTURBED_CORES = 0.25
"""Cores that others may use, on average, while it runs."""
_LOOK_S = 1.0
_BUSY = slice(0, 3)  # user, nice, system of /proc/stat
_INTERRUPTS = slice(5, 7)


def busy_seconds(stat: str) -> float:
    """Read from the text of /proc/stat how long all cores together have been busy."""
    ticks = [int(word) for word in stat.partition("\n")[0].split()[1:]]
    return (sum(ticks[_BUSY]) + sum(ticks[_INTERRUPTS])) / CLOCK_TICK_HZ


@dataclass(frozen=True)
class Share:
    """Cores that were busy in a stretch of `seconds`, for whom."""

    server: float
    client: float
    others: float
    seconds: float


@dataclass(frozen=True)
class Clock:
    """A moment of the machine, a server and this process. CPU in seconds."""

    at_s: float
    all_s: float
    server_s: float
    client_s: float

    @classmethod
    def now(cls, pid: int | None = None) -> Self:
        """Look at the machine and, where there is one, at the server `pid`."""
        server_s = 0.0 if pid is None else usage(pid).cpu_s
        stat = Path("/proc/stat").read_text()
        return cls(time.monotonic(), busy_seconds(stat), server_s, time.process_time())

    def until(self, later: "Clock") -> Share:
        """Say who used the machine between two moments."""
        seconds = later.at_s - self.at_s
        server, client = later.server_s - self.server_s, later.client_s - self.client_s
        others = later.all_s - self.all_s - server - client
        return Share(server / seconds, client / seconds, max(others, 0.0) / seconds, seconds)


async def wait_quiet(limit_s: float, say: Callable[[str], None]) -> None:
    """Wait until others leave the machine alone, at most `limit_s` seconds."""
    deadline, told = time.monotonic() + limit_s, False
    while True:
        before = Clock.now()
        await asyncio.sleep(_LOOK_S)
        others = before.until(Clock.now()).others
        if others <= QUIET_CORES or time.monotonic() > deadline:
            return
        if not told:
            told = True
            say(f"others use {others:.1f} of {os.cpu_count()} cores; waiting up to {limit_s:.0f} s")
