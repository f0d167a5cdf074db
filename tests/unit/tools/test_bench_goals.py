"""A run is judged: what may be missed, what may not be broken, and how it is written down."""

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tools.bench.counts import Writes
from tools.bench.errors import BenchError
from tools.bench.goals import broken, rows
from tools.bench.report import markdown, put_into, table
from tools.bench.result import Machine, ProgramFigures, Result
from tools.bench.usage import Usage

NONE = Writes({}, {}, 0, {})
CALM = ProgramFigures(
    to_ready=NONE,
    at_rest=NONE,
    to_gone=NONE,
    reads={},
    cpu_to_ready_s=0.5,
    usage=Usage(1.0, 100.0, 120.0),
    tracebacks=0,
)


def wrote(number: int, resource: str = "workspaces/status", **more: Any) -> Writes:
    return dataclasses.replace(
        NONE, by_kind={("patch", resource): number}, by_object={(resource, "ws-0"): number}, **more
    )


def a_result(**changes: Any) -> Result:
    """One Workspace with all as it should be: three children, a claim, a finalizer and 4 steps."""
    good = Result(
        count=1,
        machine=Machine(2, 24, "1.36.3", "3.11.7", "2026-01-02"),
        to_workload=(0.1,),
        to_ready=(3.0,),
        create_s=0.1,
        gone_s=2.0,
        phases=3,
        steps=4,
        services=1,
        claims=1,
        operator=dataclasses.replace(CALM, to_ready=wrote(9)),
        provisioner=dataclasses.replace(CALM, to_ready=wrote(4), to_gone=wrote(2)),
        most_writes_per_claim=6,
        puts={"wsa": 1},
        deletes={"wsa": 1},
        left=(),
        cluster_cpu_s={"apiserver": 1.5, "registry-open": 0.0},
    )
    return dataclasses.replace(good, **changes)


def operator(**changes: Any) -> dict[str, ProgramFigures]:
    return {"operator": dataclasses.replace(a_result().operator, **changes)}


def provisioner(**changes: Any) -> dict[str, ProgramFigures]:
    return {"provisioner": dataclasses.replace(a_result().provisioner, **changes)}


def test_a_good_run_breaks_nothing() -> None:
    assert broken(a_result()) == []


BROKEN: list[tuple[dict[str, Any], str]] = [
    (operator(to_ready=wrote(10)), "operator: API writes per Workspace to ready"),
    (operator(to_ready=wrote(2, "services")), "operator: writes of one child, most"),
    (operator(to_ready=wrote(2, "configmaps")), "operator: writes of one child, most"),
    (
        {"claims": 2, "puts": {"a": 1, "b": 1}, "deletes": {"a": 1, "b": 1}},
        "operator: writes of one child, most",
    ),
    (operator(at_rest=wrote(1)), "operator: writes at rest"),
    (operator(at_rest=dataclasses.replace(NONE, events=1)), "operator: writes at rest"),
    (
        operator(to_gone=dataclasses.replace(NONE, refused={("patch", "nodes", 409): 1})),
        "operator: answers with 409",
    ),
    (
        operator(to_gone=dataclasses.replace(NONE, refused={("patch", "nodes", 403): 1})),
        "operator: other refused writes",
    ),
    (operator(tracebacks=1), "operator: tracebacks"),
    (provisioner(to_ready=wrote(5)), "provisioner: API writes per claim to gone, mean / most"),
    ({"most_writes_per_claim": 9}, "provisioner: API writes per claim to gone, mean / most"),
    ({"puts": {"wsa": 2}}, "cloud: PUT per pool, mean / most"),
    ({"puts": {}}, "cloud: PUT per pool, mean / most"),
    ({"deletes": {"wsa": 2}}, "cloud: DELETE per pool, mean / most"),
    ({"left": ("pool wsa",)}, "left behind"),
]


@pytest.mark.parametrize(("changes", "name"), BROKEN)
def test_an_invariant_that_does_not_hold_is_told_by_name(changes: dict[str, Any], name: str) -> None:
    assert [row.name for row in broken(a_result(**changes))] == [name]


HARMLESS: list[dict[str, Any]] = [
    {"to_workload": (100.0,), "to_ready": (200.0,)},
    {"gone_s": 500.0},
    operator(to_gone=dataclasses.replace(NONE, refused={("delete", "machines", 404): 1})),
    provisioner(to_gone=Writes({("patch", "nodes"): 2, ("create", "pods/eviction"): 3}, {}, 0, {})),
]


@pytest.mark.parametrize("changes", HARMLESS)
def test_times_evictions_and_lost_races_break_nothing(changes: dict[str, Any]) -> None:
    assert broken(a_result(**changes)) == []


@pytest.mark.parametrize(("seconds", "verdict"), [(1.9, "met"), (2.1, "missed")])
def test_times_have_goals(seconds: float, verdict: str) -> None:
    row = next(row for row in rows(a_result(to_workload=(seconds,))) if "to workload" in row.name)
    assert row.verdict == verdict


def test_every_row_is_in_the_table_and_on_the_page() -> None:
    result = a_result()
    screen = io.StringIO()
    Console(file=screen, width=200).print(table(result))
    drawn, written = screen.getvalue(), markdown(result)
    for row in rows(result):
        assert row.name in drawn
        assert f"| {row.name} | {row.value} | {row.goal} | {row.verdict} |" in written
    assert "apiserver 1.5 s, operator 0.5 s" in written
    assert "registry-open" not in written


def test_a_result_can_be_written_as_json() -> None:
    found = json.loads(json.dumps(a_result().to_dict()))
    assert found["to_ready"] == {"p50": 3.0, "p90": 3.0, "p99": 3.0}
    assert found["operator"]["to_ready"]["by_kind"] == {"patch/workspaces/status": 9}


def test_the_page_gets_the_figures_of_its_count_only(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    place = "<!-- figures of 1 -->\nold\n<!-- end of 1 -->\n"
    other = "<!-- figures of 100 -->\nkept\n<!-- end of 100 -->\n"
    page.write_text(f"# Title\n{place}between\n{other}")
    put_into(page, a_result())
    put_into(page, a_result())
    text = page.read_text()
    assert text.startswith("# Title\n<!-- figures of 1 -->\n1 Workspaces, 2026-01-02, 2 cores and 24 GiB")
    assert text.endswith(f"between\n{other}")
    assert text.count("| measure | figure | goal | verdict |") == 1
    with pytest.raises(BenchError, match="<!-- figures of 7 -->"):
        put_into(page, a_result(count=7))
