"""Figures as tables: for a terminal, and for docs/benchmarks.md."""

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from tools.bench.errors import BenchError
from tools.bench.goals import Row
from tools.bench.report import COLOURS, COLUMNS
from tools.bench_inference.goals import costs_rows, llama_rows, torch_rows
from tools.bench_inference.result import Costs, Machine, Sides

Found = Sides | Costs
TITLES = {
    "torch": "SmolLM2-135M-Instruct as safetensors",
    "llama": "SmolLM2-135M-Instruct as GGUF (Q4_1)",
    "costs": "HTTP and scheduling",
}


def rows(part: str, found: Found) -> list[Row]:
    """Judge the figures of one part."""
    if isinstance(found, Costs):
        return list(costs_rows(found))
    return torch_rows(found) if part == "torch" else llama_rows(found)


def heading(part: str, found: Found) -> str:
    """Say in a line what was measured where and when."""
    parts = [TITLES[part], _place(found.machine)]
    if isinstance(found, Sides):
        parts += [f"median of {found.runs} interleaved runs", f"{found.max_tokens} new tokens a request"]
    return ", ".join(parts)


def surroundings(found: Found) -> str:
    """Say what the figures are worth: what else used the CPU, and which answers were shorter than asked."""
    if isinstance(found, Costs):
        return ""
    told = (
        f"Other programs used {found.others:.2f} cores (median) while it was measured, "
        f"and the benchmark's client at most {found.client:.2f}."
    )
    early = ", ".join(f"{name} {number}" for name, number in found.early.items())
    return f"{told} Answers that ended early, by server: {early or 'none'}."


def table(part: str, found: Found) -> Table:
    """Draw it for a terminal."""
    drawn = Table(title=heading(part, found), title_justify="left", caption=surroundings(found))
    for column in COLUMNS:
        drawn.add_column(column, justify="right" if column == "figure" else "left")
    for row in rows(part, found):
        drawn.add_row(row.name, row.value, row.goal, Text(row.verdict, COLOURS[row.verdict]))
    return drawn


def markdown(part: str, found: Found) -> str:
    """Write it for a page."""
    lines = [f"{heading(part, found)}.", "", *_markdown_rows(rows(part, found))]
    if told := surroundings(found):
        lines += ["", told]
    return "\n".join(lines) + "\n"


def put_into(page: Path, part: str, found: Found) -> None:
    """Replace a page's figures of this part.

    Raises:
        BenchError: the page has no place for them.
    """
    begin, end = f"<!-- figures of {part} -->\n", f"<!-- end of {part} -->\n"
    before, opened, rest = page.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not (opened and closed):
        raise BenchError(f"{page} has no lines {begin.strip()} and {end.strip()}: add them.")
    page.write_text(f"{before}{begin}{markdown(part, found)}{end}{after}")


def _markdown_rows(judged: Sequence[Row]) -> list[str]:
    return [
        f"| {' | '.join(COLUMNS)} |",
        "|---|---|---|---|",
        *(f"| {row.name} | {row.value} | {row.goal} | {row.verdict} |" for row in judged),
    ]


def _place(machine: Machine) -> str:
    return f"{machine.day}, {machine.cores} cores ({machine.cpu}) and {machine.memory_gib} GiB"
