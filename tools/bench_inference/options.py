"""What a run is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field

PARTS = ("torch", "llama", "costs")
"""What can be measured alone: PyTorch servers, llama.cpp servers, CPU and memory of HTTP and scheduling."""


@dataclass(frozen=True)
class Options:
    """How much is measured.

    Attributes:
        parts: of PARTS.
        runs: of each server, interleaved.
        max_tokens: of each answer.
        requests: of one measurement, by the number of clients.
        quiet_s: how long a measurement may wait for other programs to rest.
        tries: how often a measurement is made at most, while others disturb it; the calmest counts.
        streams: of the weightless engine, at once.
        stream_tokens: of each of them.
        token_s: seconds between two tokens of a stream; 200 streams at 40 ms are 5,000 tokens a second.
        many: requests after which memory must be where it was.
        cancelled: requests that are left half-way, for the same.
        seed: of the prompts.
    """

    parts: tuple[str, ...] = PARTS
    runs: int = 5
    max_tokens: int = 64
    requests: Mapping[int, int] = field(default_factory=lambda: {1: 5, 4: 8, 8: 24, 16: 32})
    quiet_s: float = 120.0
    tries: int = 3
    streams: int = 200
    stream_tokens: int = 250
    token_s: float = 0.04
    many: int = 10_000
    cancelled: int = 1_000
    seed: int = 6
