"""A run as a table: for a terminal, and for docs/benchmarks.md."""

from pathlib import Path

from rich.table import Table
from rich.text import Text

from tools.bench.errors import BenchError
from tools.bench.goals import Verdict, rows
from tools.bench.result import Result

COLOURS: dict[Verdict, str] = {"met": "green", "missed": "yellow", "broken": "bold red", "": ""}
COLUMNS = ("measure", "figure", "goal", "verdict")


def heading(result: Result) -> str:
    """Say in a line what was measured where and when."""
    machine = result.machine
    return (
        f"{result.count} Workspaces, {machine.day}, {machine.cores} cores and {machine.memory_gib} GiB for "
        f"everything, Kubernetes {machine.kubernetes}, Python {machine.python}"
    )


def shares(result: Result) -> str:
    """Say who used the CPU until all were ready, the greatest first."""
    used = {
        **result.cluster_cpu_s,
        "operator": result.operator.cpu_to_ready_s,
        "gpu-provisioner": result.provisioner.cpu_to_ready_s,
    }
    ordered = sorted(used.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {seconds:.1f} s" for name, seconds in ordered if seconds >= 0.05)


def table(result: Result) -> Table:
    """Draw it for a terminal."""
    drawn = Table(title=heading(result), title_justify="left", caption=f"CPU to ready: {shares(result)}")
    for column in COLUMNS:
        drawn.add_column(column, justify="right" if column == "figure" else "left")
    for row in rows(result):
        drawn.add_row(row.name, row.value, row.goal, Text(row.verdict, COLOURS[row.verdict]))
    return drawn


def markdown(result: Result) -> str:
    """Write it for a page."""
    lines = [
        f"{heading(result)}.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        "|---|---|---|---|",
        *(f"| {row.name} | {row.value} | {row.goal} | {row.verdict} |" for row in rows(result)),
        "",
        f"CPU until all were ready: {shares(result)}.",
    ]
    return "\n".join(lines) + "\n"


def put_into(page: Path, result: Result) -> None:
    """Replace a page's figures for this number of Workspaces.

    Raises:
        BenchError: the page has no place for them.
    """
    begin, end = f"<!-- figures of {result.count} -->\n", f"<!-- end of {result.count} -->\n"
    before, found, rest = page.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise BenchError(f"{page} has no lines {begin.strip()} and {end.strip()}: add them.")
    page.write_text(f"{before}{begin}{markdown(result)}{end}{after}")
