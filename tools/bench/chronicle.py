"""When things happened to each Workspace, by the client's own monotonic clock."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from tools.bench.client import Event
from tools.bench.errors import BenchError

Json = dict[str, Any]


@dataclass
class Moments:
    """Monotonic seconds at which this client was told of it; None: not yet.

    Attributes:
        created: the Workspace is stored.
        workload: its Deployment is.
        ready: its condition WorkspaceReady is True.
        gone: it is no more.
        phases: what its status said of the phase, one after the other.
        steps: how often it said something new of the phase, of what is waited for, or of a condition.
        waits_for: what it said last that it waits for.
    """

    created: float | None = None
    workload: float | None = None
    ready: float | None = None
    gone: float | None = None
    phases: list[str] = field(default_factory=list)
    steps: int = 0
    waits_for: str = ""
    _told: object = None

    def take(self, status: Json, at: float) -> None:
        """Take in a status, which may be the same again."""
        phase = status.get("phase")
        if phase and self.phases[-1:] != [phase]:
            self.phases.append(phase)
        self.waits_for = (status.get("blockedOn") or {}).get("reason", "")
        conditions = {entry["type"]: entry["status"] for entry in status.get("conditions", ())}
        told = (phase, self.waits_for, conditions)
        if status and told != self._told:
            self._told = told
            self.steps += 1
        if self.ready is None and conditions.get("WorkspaceReady") == "True":
            self.ready = at


@dataclass
class Chronicle:
    """Collects moments from watches.

    Attributes:
        workspaces: by name.
        claims: moments at which claims appeared, by name.
        claims_gone: moments at which they were gone.
    """

    workspaces: dict[str, Moments] = field(default_factory=dict)
    claims: dict[str, float] = field(default_factory=dict)
    claims_gone: dict[str, float] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def stored(self, name: str, at: float) -> None:
        """The API server's answer to the creation of a Workspace came at this moment."""
        moments = self._of(name)
        moments.created = at if moments.created is None else min(moments.created, at)

    def workspace(self, event: Event) -> None:
        """Take in an event of a Workspace."""
        name, status = event.obj["metadata"]["name"], event.obj.get("status") or {}
        self.stored(name, event.at)
        moments = self._of(name)
        moments.take(status, event.at)
        if event.what == "DELETED":
            moments.gone = event.at
        self._changed.set()

    def workload(self, event: Event) -> None:
        """Take in an event of a Deployment, which is named like its Workspace."""
        moments = self._of(event.obj["metadata"]["name"])
        if moments.workload is None:
            moments.workload = event.at
        self._changed.set()

    def claim(self, event: Event) -> None:
        """Take in an event of a claim."""
        name = event.obj["metadata"]["name"]
        self.claims.setdefault(name, event.at)
        if event.what == "DELETED":
            self.claims_gone[name] = event.at
        self._changed.set()

    def count(self, what: str) -> int:
        """How many Workspaces have had this moment, by the attribute's name."""
        return sum(getattr(moments, what) is not None for moments in self.workspaces.values())

    def since_creation(self, what: str) -> list[float]:
        """Seconds from each Workspace's creation to a moment, by the attribute's name."""
        return sorted(
            getattr(moments, what) - moments.created
            for moments in self.workspaces.values()
            if moments.created is not None and getattr(moments, what) is not None
        )

    def tell(self) -> str:
        """How far all of them are, in a line."""
        words = ", ".join(f"{self.count(what)} {what}" for what in ("created", "workload", "ready", "gone"))
        claims = f"{len(self.claims)} claims, {len(self.claims_gone)} of them gone"
        waits = Counter(moments.waits_for for moments in self.workspaces.values() if moments.waits_for)
        told = ", ".join(f"{number} {reason}" for reason, number in waits.most_common(4))
        return f"{words}; {claims}" + (f"; waiting: {told}" if told else "")

    async def until(self, done: Callable[[], bool], *, timeout_s: float, say: Callable[[str], None]) -> None:
        """Wait for a state of the world, and say every second what it is.

        Raises:
            BenchError: it is not so after timeout_s.
        """
        began, told = monotonic(), 0.0
        while not done():
            elapsed = monotonic() - began
            if elapsed > timeout_s:
                raise BenchError(f"Not done after {timeout_s:.0f} s: {self.tell()}.")
            if elapsed - told >= 1.0:
                told = elapsed
                say(f"{elapsed:5.1f} s  {self.tell()}")
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), 0.2)
            except TimeoutError:
                continue

    def _of(self, name: str) -> Moments:
        return self.workspaces.setdefault(name, Moments())


def percentile(values: Iterable[float], share: float) -> float:
    """The value that this share of the values does not exceed (nearest rank).

    Args:
        values: at least one.
        share: above 0, at most 1.
    """
    ordered = sorted(values)
    rank = -int(-share * len(ordered) // 1)  # rounded up
    return ordered[max(rank, 1) - 1]
