"""Figures come out of the runs, are judged, and are written down."""

import dataclasses
import io
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console

from tools.bench.errors import BenchError
from tools.bench.goals import Row
from tools.bench_inference.costs import BARE, OURS_ECHO
from tools.bench_inference.load import Load
from tools.bench_inference.peers import LIBRARY, LLAMA_BATCHED, LLAMA_SERVER, OURS_16, OURS_LLAMA, V030
from tools.bench_inference.picture import draw
from tools.bench_inference.quiet import Share
from tools.bench_inference.report import markdown, put_into, rows, table
from tools.bench_inference.result import Costs, Machine, Memory, Sample, Sides, Streams

MACHINE = Machine("A CPU <1>", 2, 24, "3.11.7", "2026-01-02")


def sample(run: int, tokens_per_s: float, first_s: float = 1.0, others: float = 0.1) -> Sample:
    load = Load(1, round(tokens_per_s * 100), 100.0, (first_s,), early=0)
    return Sample(run, load, Share(1.5, 0.01, others, 100.0))


def sides(**figures: float) -> Sides:
    """One run; names as server_clients."""
    names = {"ours": OURS_16, "v030": V030, "library": LIBRARY}
    samples = {}
    for key, figure in figures.items():
        name, _, clients = key.rpartition("_")
        samples[names[name], int(clients)] = [sample(1, figure)]
    return Sides(MACHINE, 64, samples)


def torch_sides() -> Sides:
    return sides(
        ours_1=24, ours_4=60, ours_16=140, v030_1=17, v030_4=26, v030_16=15, library_1=18, library_16=92
    )


def row(found: list[Row], name: str) -> Row:
    return next(row for row in found if row.name == name)


def test_a_figure_is_the_median_of_its_runs() -> None:
    found = Sides(MACHINE, 64, {("a", 1): [sample(1, 10, 3), sample(2, 90, 1), sample(3, 20, 2)]})
    assert (found.tokens_per_s("a", 1), found.first_p95_s("a", 1), found.runs) == (20, 2, 3)


def test_a_ratio_compares_within_each_run_so_that_a_slow_minute_slows_both() -> None:
    ours = [sample(1, 100), sample(2, 10), sample(3, 30)]
    theirs = [sample(1, 50), sample(2, 5), sample(3, 15)]
    found = Sides(MACHINE, 64, {("a", 1): ours, ("b", 1): [theirs[1], theirs[0], theirs[2]]})
    assert found.ratio("a", "b", 1) == 2


def test_ratios_come_first_and_are_judged_by_their_goal() -> None:
    found = rows("torch", torch_sides())
    assert (found[0].name, found[0].value) == ("ours, bfloat16 / KAITO v0.3.0's way, 1 at once", "1.41x")
    assert [r.verdict for r in found[:3]] == ["met", "met", "met"]
    slow = dataclasses.replace(
        torch_sides(), samples={**torch_sides().samples, (OURS_16, 16): [sample(1, 80)]}
    )
    judged = rows("torch", slow)
    assert row(judged, "ours, bfloat16 / KAITO v0.3.0's way, 16 at once").verdict == "missed"
    assert row(judged, "ours, bfloat16 / transformers serve, 16 at once").verdict == "missed"
    assert row(judged, "ours, bfloat16 / transformers serve, 1 at once").verdict == "met"


def test_the_first_text_has_to_come_before_the_streaming_peers() -> None:
    samples = {(OURS_16, 16): [sample(1, 100, 0.9)], (LIBRARY, 16): [sample(1, 50, 1.0)]}
    name = "ours, bfloat16: time to first text p95, 16 at once"
    assert row(rows("torch", Sides(MACHINE, 64, samples)), name).verdict == "met"
    samples[OURS_16, 16] = [sample(1, 100, 1.1)]
    assert row(rows("torch", Sides(MACHINE, 64, samples)), name).verdict == "missed"


def test_llama_is_judged_by_the_server_and_by_the_library_alone() -> None:
    samples = {
        (OURS_LLAMA, 1): [sample(1, 60)],
        (OURS_LLAMA, 8): [sample(1, 180)],
        (LLAMA_SERVER, 1): [sample(1, 50)],
        (LLAMA_SERVER, 8): [sample(1, 55)],
        (LLAMA_BATCHED, 8): [sample(1, 250)],
    }
    found = rows("llama", Sides(MACHINE, 64, samples))
    assert [(r.value, r.verdict) for r in found[:3]] == [
        ("1.20x", "met"),
        ("3.27x", "met"),
        ("0.72x", "missed"),
    ]


def costs(received: int = 1000, cpu_s: float = 0.05, last_mib: float = 56.5) -> Costs:
    streams = [
        Streams(OURS_ECHO, 200, 1000, received, received, cpu_s, 10.0),
        Streams(BARE, 200, 1000, 1000, 1000, 0.03, 10.0),
    ]
    return Costs(MACHINE, streams, [Memory(OURS_ECHO, "requests", [0, 5000, 10_000], [56.0, 56.2, last_mib])])


@pytest.mark.parametrize(
    ("found", "name", "verdict"),
    [
        (costs(), "ours, no weights: CPU per token, 200 streams", "met"),
        (costs(cpu_s=0.11), "ours, no weights: CPU per token, 200 streams", "missed"),
        (costs(), "ours, no weights: tokens lost / sent, events", "met"),
        (costs(received=999), "ours, no weights: tokens lost / sent, events", "broken"),
        (costs(), "ours, no weights: memory over 10,000 requests", "met"),
        (costs(last_mib=66.0), "ours, no weights: memory over 10,000 requests", "missed"),
    ],
)
def test_costs_are_judged(found: Costs, name: str, verdict: str) -> None:
    assert row(rows("costs", found), name).verdict == verdict


def test_memory_has_a_slope() -> None:
    growing = Memory("a", "requests", [0, 1000, 2000], [10.0, 11.0, 12.0])
    assert growing.kib_per_1000 == pytest.approx(1024.0)
    assert growing.growth_mib == 2.0
    assert Memory("a", "requests", [0, 1000, 2000], [10.0, 15.0, 15.5]).late_mib == 0.5


def test_a_models_memory_is_told_and_not_judged() -> None:
    memory = [Memory("ours, SmolLM2", "requests", [0, 100, 200], [1100.0, 1150.0, 1155.7])]
    (judged,) = rows("costs", dataclasses.replace(costs(), streams=[], memory=memory))
    assert (judged.value, judged.verdict) == ("1100.0 to 1155.7 MiB, second half +5.7 MiB", "")


@pytest.mark.parametrize("part", ["torch", "costs"])
def test_every_row_is_in_the_table_and_on_the_page(part: str) -> None:
    found = torch_sides() if part == "torch" else costs()
    screen = io.StringIO()
    Console(file=screen, width=200).print(table(part, found))
    for judged in rows(part, found):
        assert judged.name in screen.getvalue()
        assert f"| {judged.name} | {judged.value} | {judged.goal} | {judged.verdict} |" in markdown(
            part, found
        )


def test_the_page_says_what_else_the_machine_did_and_which_answers_were_short() -> None:
    samples = {**torch_sides().samples}
    load = dataclasses.replace(sample(1, 92).load, early=3)
    samples[LIBRARY, 16] = [Sample(1, load, Share(1.0, 0.2, 0.1, 10.0))]
    text = markdown("torch", Sides(MACHINE, 64, samples))
    assert "used 0.10 cores (median)" in text
    assert "client at most 0.20" in text
    assert "transformers serve 3" in text


@pytest.mark.parametrize("found", [torch_sides(), costs()])
def test_figures_are_kept_as_json_and_read_again(found: Sides | Costs) -> None:
    again = type(found).from_dict(json.loads(json.dumps(found.to_dict())))
    part = "torch" if isinstance(found, Sides) else "costs"
    assert markdown(part, again) == markdown(part, found)


def test_the_page_gets_the_figures_of_its_part_only(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    other = "<!-- figures of llama -->\nkept\n<!-- end of llama -->\n"
    page.write_text(f"# Title\n<!-- figures of costs -->\nold\n<!-- end of costs -->\nbetween\n{other}")
    put_into(page, "costs", costs())
    put_into(page, "costs", costs())
    text = page.read_text()
    assert "old" not in text
    assert text.count("| measure | figure | goal | verdict |") == 1
    assert text.endswith(f"between\n{other}")
    with pytest.raises(BenchError, match="<!-- figures of torch -->"):
        put_into(page, "torch", torch_sides())


def test_the_picture_has_a_bar_for_each_figure_and_the_highest_fills_it() -> None:
    drawn = draw("Tokens per second, <tiny>", torch_sides())
    root = ElementTree.fromstring(drawn)
    bars = [r for r in root.iter("{http://www.w3.org/2000/svg}rect") if r.get("height") not in {"12", "380"}]
    heights = sorted(float(bar.get("height", "0")) for bar in bars)
    assert len(heights) == 8
    assert heights[-1] == pytest.approx(256)
    assert heights[0] == pytest.approx(256 * 15 / 140, abs=0.1)
    assert "Tokens per second, <tiny>" in "".join(root.itertext())
