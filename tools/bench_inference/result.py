"""What runs gave, and how figures come out of them."""

import os
import platform
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from tools.bench_inference.load import Load
from tools.bench_inference.quiet import Share

GIB = 1024**3
Place = tuple[str, int]
"""A server's name, and how many clients it had."""


@dataclass(frozen=True)
class Machine:
    """Where and when it was measured. Memory in GiB."""

    cpu: str
    cores: int
    memory_gib: int
    python: str
    day: str

    @classmethod
    def here(cls) -> "Machine":
        """Look at this machine and the calendar."""
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        cores = len(os.sched_getaffinity(0))
        day = datetime.now(UTC).date().isoformat()
        cpu = found.group(1) if found else platform.machine()
        return cls(cpu, cores, round(pages / GIB), platform.python_version(), day)


@dataclass(frozen=True)
class Sample:
    """One measurement of one server.

    Attributes:
        run: its number; the servers of one run were measured one after another.
        load: what the clients saw.
        share: who used the CPU meanwhile, in cores.
    """

    run: int
    load: Load
    share: Share


@dataclass(frozen=True)
class Sides:
    """Servers that were measured side by side, in several runs.

    Attributes:
        machine: that it was on.
        max_tokens: of each answer.
        samples: by server and number of clients, one of each run.
    """

    machine: Machine
    max_tokens: int
    samples: Mapping[Place, Sequence[Sample]] = field(default_factory=dict)

    @property
    def runs(self) -> int:
        """How many there were."""
        return max((len(samples) for samples in self.samples.values()), default=0)

    @property
    def names(self) -> list[str]:
        """The servers, in the order in which they were measured."""
        return list(dict.fromkeys(name for name, _ in self.samples))

    @property
    def clients(self) -> list[int]:
        """The numbers of clients."""
        return sorted({clients for _, clients in self.samples})

    def tokens_per_s(self, name: str, clients: int) -> float:
        """New tokens per second, the median of the runs."""
        return self._median(name, clients, lambda sample: sample.load.tokens_per_s)

    def first_p95_s(self, name: str, clients: int) -> float:
        """Time to the first text, 95th percentile, the median of the runs."""
        return self._median(name, clients, lambda sample: sample.load.first_p95_s)

    def ratio(self, name: str, other: str, clients: int) -> float:
        """How many times `other`'s tokens per second `name` has.

        The median of the runs' own ratios: what slows the machine for minutes slows both of a run.
        """
        theirs = {sample.run: sample.load.tokens_per_s for sample in self.samples[other, clients]}
        ours = self.samples[name, clients]
        return median(
            sample.load.tokens_per_s / theirs[sample.run] for sample in ours if sample.run in theirs
        )

    @property
    def others(self) -> float:
        """Cores that other programs used, the median of all measurements."""
        return median(sample.share.others for sample in self._all())

    @property
    def client(self) -> float:
        """The most that this process used, in cores: near 1 it would be what is measured."""
        return max(sample.share.client for sample in self._all())

    @property
    def early(self) -> dict[str, int]:
        """Answers that ended before their tokens, by server; those with none are left out."""
        counts = {
            name: sum(
                sample.load.early
                for (own, _), found in self.samples.items()
                if own == name
                for sample in found
            )
            for name in self.names
        }
        return {name: number for name, number in counts.items() if number}

    def _all(self) -> Iterable[Sample]:
        return (sample for samples in self.samples.values() for sample in samples)

    def _median(self, name: str, clients: int, figure: Callable[[Sample], float]) -> float:
        return median(figure(sample) for sample in self.samples[name, clients])

    def to_dict(self) -> dict[str, Any]:
        """Give every figure, for programs."""
        listed = [
            {"server": name, "clients": clients, **asdict(sample)}
            for (name, clients), samples in self.samples.items()
            for sample in samples
        ]
        return {"machine": asdict(self.machine), "max_tokens": self.max_tokens, "samples": listed}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> "Sides":
        """Read what to_dict() gave."""
        samples: dict[Place, list[Sample]] = {}
        for item in found["samples"]:
            load = Load(**{**item["load"], "first_s": tuple(item["load"]["first_s"])})
            place = item["server"], item["clients"]
            samples.setdefault(place, []).append(Sample(item["run"], load, Share(**item["share"])))
        return cls(Machine(**found["machine"]), found["max_tokens"], samples)


@dataclass(frozen=True)
class Streams:
    """Many streams of an engine without weights.

    Attributes:
        name: of the server.
        streams: at once.
        asked: tokens that were wanted, of all streams together.
        received: tokens that came.
        events: that carried them.
        cpu_s: of the server's process, from the first request to the last token.
        seconds: that it took.
    """

    name: str
    streams: int
    asked: int
    received: int
    events: int
    cpu_s: float
    seconds: float

    @property
    def cpu_ms_per_token(self) -> float:
        """Milliseconds of CPU that a token cost the server."""
        return 1000 * self.cpu_s / max(self.received, 1)


@dataclass(frozen=True)
class Memory:
    """A server's memory over many requests, in MiB. `done` counts requests, one figure of `rss_mib` each."""

    name: str
    what: str
    done: Sequence[int]
    rss_mib: Sequence[float]

    @property
    def growth_mib(self) -> float:
        """From the first figure to the last."""
        return self.rss_mib[-1] - self.rss_mib[0]

    @property
    def late_mib(self) -> float:
        """From the middle figure to the last: a leak goes on, what only fills up does not."""
        return self.rss_mib[-1] - self.rss_mib[len(self.rss_mib) // 2]

    @property
    def kib_per_1000(self) -> float:
        """Slope of the straight line nearest to all figures, in KiB per 1,000 requests."""
        middle_x, middle_y = sum(self.done) / len(self.done), sum(self.rss_mib) / len(self.rss_mib)
        spread = sum((x - middle_x) ** 2 for x in self.done)
        pairs = zip(self.done, self.rss_mib, strict=True)
        slope = sum((x - middle_x) * (y - middle_y) for x, y in pairs) / spread if spread else 0.0
        return slope * 1000 * 1024


@dataclass(frozen=True)
class Costs:
    """What HTTP and scheduling cost, and what they keep."""

    machine: Machine
    streams: Sequence[Streams]
    memory: Sequence[Memory]

    def to_dict(self) -> dict[str, Any]:
        """Give every figure, for programs."""
        return asdict(self)

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> "Costs":
        """Read what to_dict() gave."""
        streams = [Streams(**item) for item in found["streams"]]
        memory = [Memory(**item) for item in found["memory"]]
        return cls(Machine(**found["machine"]), streams, memory)
