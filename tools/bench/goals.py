"""What a run is measured by: goals, which may be missed, and invariants, which may not be broken."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from tools.bench.chronicle import percentile
from tools.bench.result import ProgramFigures, Result

Verdict = Literal["met", "missed", "broken", ""]

# On a quiet machine of 2 cores, whatever the number of Workspaces.
WORKLOAD_P99_S = 2.0
READY_P99_S = 8.0
CLAIM_WRITES = 6
SLOW_CLAIM_WRITES = 8
SINGLE = ("deployments", "services", "configmaps", "workspaces")
"""What the operator writes once on the way to ready: each child, and the Workspace for its finalizer."""


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: what was measured.
        value: in words.
        goal: in words; empty where there is none.
        verdict: empty where there is no goal.
    """

    name: str
    value: str
    goal: str = ""
    verdict: Verdict = ""


def rows(result: Result) -> list[Row]:
    """Judge a run."""
    return [*_times(result), *_writes(result), *_cloud(result), *_resources(result)]


def broken(result: Result) -> list[Row]:
    """The invariants that do not hold."""
    return [row for row in rows(result) if row.verdict == "broken"]


def _times(result: Result) -> Iterator[Row]:
    for name, values, most in (
        ("creation to workload", result.to_workload, WORKLOAD_P99_S),
        ("creation to ready", result.to_ready, READY_P99_S),
    ):
        high = percentile(values, 0.99)
        verdict: Verdict = "met" if high < most else "missed"
        yield Row(
            f"{name}, p50 / p99",
            f"{percentile(values, 0.5):.2f} / {high:.2f} s",
            f"p99 under {most:g} s",
            verdict,
        )
    yield Row("deletion of all until claims and pools are gone", f"{result.gone_s:.1f} s")
    left = ", ".join(result.left)
    yield _invariant("left behind", left or "nothing", "nothing", holds=not left)


def _writes(result: Result) -> Iterator[Row]:
    operator, provisioner, n = result.operator, result.provisioner, result.count
    children = result.services + 2 * n + result.claims  # a Deployment and a list of adapters each
    most_writes = children + n + result.steps
    yield _invariant(
        "operator: API writes per Workspace to ready",
        f"{operator.to_ready.total / n:.2f}",
        f"{most_writes / n:.2f}: each child, the finalizer, each step told",
        # A client's watch may miss a step that lasts milliseconds, so half a write more is none too many.
        holds=operator.to_ready.total <= most_writes + n / 2,
    )
    most = max(operator.to_ready.most(kind) for kind in SINGLE)
    yield _invariant(
        "operator: writes of one child, most", f"{most}", "1", holds=most <= 1 and result.claims == n
    )
    told = operator.to_ready.of("workspaces/status")
    yield Row("operator: status writes / phases per Workspace", f"{told / n:.2f} / {result.phases / n:.2f}")
    yield Row("operator: Events per Workspace to ready", f"{operator.to_ready.events / n:.2f}")
    evictions = provisioner.to_gone.of("pods/eviction")
    total = provisioner.to_ready.total + provisioner.to_gone.total - evictions
    yield _invariant(
        "provisioner: API writes per claim to gone, mean / most",
        f"{total / max(result.claims, 1):.2f} / {result.most_writes_per_claim}",
        f"{CLAIM_WRITES}, evictions apart; {SLOW_CLAIM_WRITES} where a node is slow to become ready",
        holds=total <= (CLAIM_WRITES + 0.5) * result.claims
        and result.most_writes_per_claim <= SLOW_CLAIM_WRITES,
    )
    yield Row("provisioner: evictions per claim", f"{evictions / max(result.claims, 1):.2f}")
    yield from _troubles("operator", operator)
    yield from _troubles("provisioner", provisioner)


def _troubles(name: str, program: ProgramFigures) -> Iterator[Row]:
    conflicts = {key: number for key, number in program.refused.items() if key[2] == 409}
    yield _invariant(f"{name}: answers with 409", _listed(conflicts), "0", holds=not conflicts)
    # A deletion may find that the object went by itself.
    worse = {key: number for key, number in program.refused.items() if key[2] not in {404, 409}}
    yield _invariant(f"{name}: other refused writes", _listed(worse), "0", holds=not worse)
    at_rest = program.at_rest.total + program.at_rest.events
    yield _invariant(f"{name}: writes at rest", f"{at_rest}", "0", holds=not at_rest)
    yield _invariant(f"{name}: tracebacks", f"{program.tracebacks}", "0", holds=not program.tracebacks)


def _listed(refused: Mapping[tuple[str, str, int], int]) -> str:
    return ", ".join(f"{n} {verb} {kind} ({status})" for (verb, kind, status), n in refused.items()) or "0"


def _cloud(result: Result) -> Iterator[Row]:
    for method, calls in (("PUT", result.puts), ("DELETE", result.deletes)):
        most = max(calls.values(), default=0)
        yield _invariant(
            f"cloud: {method} per pool, mean / most",
            f"{sum(calls.values()) / max(result.claims, 1):.2f} / {most}",
            "1",
            holds=most <= 1 and len(calls) == result.claims,
        )


def _resources(result: Result) -> Iterator[Row]:
    for name, program in (("operator", result.operator), ("provisioner", result.provisioner)):
        yield Row(
            f"{name}: CPU to ready, in all / per Workspace",
            f"{program.cpu_to_ready_s:.1f} s / {1000 * program.cpu_to_ready_s / result.count:.0f} ms",
        )
        yield Row(
            f"{name}: memory now / at most", f"{program.usage.rss_mib:.0f} / {program.usage.peak_mib:.0f} MiB"
        )


def _invariant(name: str, value: str, goal: str, *, holds: bool) -> Row:
    return Row(name, value, goal, "met" if holds else "broken")
