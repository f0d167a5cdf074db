"""What is asked of the figures: ratios to the peers first, then what they are made of."""

from collections.abc import Iterator

from tools.bench.goals import Row, Verdict
from tools.bench_inference.costs import OURS_ECHO
from tools.bench_inference.peers import (
    LIBRARY,
    LLAMA_BATCHED,
    LLAMA_SERVER,
    OURS_16,
    OURS_LLAMA,
    V030,
)
from tools.bench_inference.result import Costs, Memory, Sides

# By the number of clients: our tokens per second, as a multiple of theirs.
OVER_V030 = {1: 1.2, 4: 2.0, 16: 6.0}
OVER_LIBRARY = {1: 0.95, 4: 0.95, 16: 1.2}
OVER_LLAMA_SERVER = {1: 1.0, 8: 2.0}
OF_BATCHED = {8: 0.85}
CPU_MS_PER_TOKEN = 0.1
ECHO_GROWTH_MIB = 8.0
"""What a heap may settle by over a series; a leak of 1 KiB a request would be 10 MiB after 10,000."""


def torch_rows(sides: Sides) -> list[Row]:
    """Judge the servers of PyTorch models."""
    return [
        *_ratios(sides, OURS_16, V030, OVER_V030),
        *_ratios(sides, OURS_16, LIBRARY, OVER_LIBRARY),
        *_first(sides, OURS_16, LIBRARY),
        *_figures(sides),
    ]


def llama_rows(sides: Sides) -> list[Row]:
    """Judge the servers of GGUF models."""
    return [
        *_ratios(sides, OURS_LLAMA, LLAMA_SERVER, OVER_LLAMA_SERVER),
        *_ratios(sides, OURS_LLAMA, LLAMA_BATCHED, OF_BATCHED),
        *_figures(sides),
    ]


def costs_rows(costs: Costs) -> Iterator[Row]:
    """Judge CPU for each token, and memory."""
    for streams in costs.streams:
        ours = streams.name == OURS_ECHO
        figure = streams.cpu_ms_per_token
        yield Row(
            f"{streams.name}: CPU per token, {streams.streams} streams",
            f"{figure:.4f} ms",
            f"under {CPU_MS_PER_TOKEN:g} ms" if ours else "",
            _met(figure < CPU_MS_PER_TOKEN) if ours else "",
        )
        lost = streams.asked - streams.received
        yield Row(
            f"{streams.name}: tokens lost / sent, events",
            f"{lost} / {streams.asked}, {streams.events}",
            "0 lost",
            "met" if not lost else "broken",
        )
    for memory in costs.memory:
        yield _flat(memory)


def _flat(memory: Memory) -> Row:
    """Judge the echo's memory. A model's moves by tens of MiB, which would hide a leak and look like one."""
    judged = memory.name == OURS_ECHO
    return Row(
        f"{memory.name}: memory over {memory.done[-1]:,} {memory.what}",
        f"{memory.rss_mib[0]:.1f} to {memory.rss_mib[-1]:.1f} MiB, second half {memory.late_mib:+.1f} MiB",
        f"at most {ECHO_GROWTH_MIB:g} MiB more" if judged else "",
        _met(memory.growth_mib <= ECHO_GROWTH_MIB) if judged else "",
    )


def _ratios(sides: Sides, ours: str, theirs: str, goals: dict[int, float]) -> Iterator[Row]:
    for clients, goal in goals.items():
        if not (sides.samples.get((ours, clients)) and sides.samples.get((theirs, clients))):
            continue
        ratio = sides.ratio(ours, theirs, clients)
        yield Row(
            f"{ours} / {theirs}, {clients} at once",
            f"{ratio:.2f}x",
            f"at least {goal:g}x",
            _met(ratio >= goal),
        )


def _first(sides: Sides, ours: str, theirs: str) -> Iterator[Row]:
    most = max(sides.clients)
    if sides.samples.get((theirs, most)):
        mine, other = sides.first_p95_s(ours, most), sides.first_p95_s(theirs, most)
        yield Row(
            f"{ours}: time to first text p95, {most} at once",
            f"{mine:.2f} s",
            f"under {other:.2f} s",
            _met(mine < other),
        )


def _figures(sides: Sides) -> Iterator[Row]:
    for name in sides.names:
        for clients in sides.clients:
            if not sides.samples.get((name, clients)):
                continue
            first = sides.first_p95_s(name, clients)
            told = "" if name == LLAMA_BATCHED else f", first text p95 {first:.2f} s"
            yield Row(f"{name}, {clients} at once", f"{sides.tokens_per_s(name, clients):.1f} tokens/s{told}")


def _met(holds: bool) -> Verdict:
    return "met" if holds else "missed"
