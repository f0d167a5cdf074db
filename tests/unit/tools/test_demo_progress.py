"""What the demo shows while it waits: the watch's stream, the phases, the timeline."""

import io
import json
import queue
from typing import Any

import pytest
from rich.table import Table

from tools.demo import progress as module
from tools.demo.progress import Progress, timeline

Obj = dict[str, Any]
WAITING = {
    "phase": "Loading",
    "conditions": [{"type": "WorkspaceReady", "status": "False"}],
    "blockedOn": {"reason": "ModelLoading", "message": "It loads.", "nextAction": "Nothing to do."},
}
READY = {"phase": "Ready", "conditions": [{"type": "WorkspaceReady", "status": "True"}]}


class Clock:
    """Stands in for the monotonic clock of the module."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "monotonic", clock)
    return clock


@pytest.fixture
def progress(clock: Clock) -> Progress:
    return Progress("ws", began=clock.now)


def read(stream: str) -> list[Obj]:
    """What the watch's reader makes of a stream."""
    states: queue.Queue[Obj] = queue.Queue()
    module._read(io.StringIO(stream), states)
    return [states.get_nowait() for _ in range(states.qsize())]


def printed(*objects: Obj) -> str:
    """Objects as `kubectl get --watch -o json` prints them."""
    return "".join(f"{json.dumps(obj, indent=4)}\n" for obj in objects)


def test_every_object_of_the_stream_is_read_in_order() -> None:
    objects: list[Obj] = [{"status": WAITING}, {"status": {}}, {"status": READY}]
    assert read(printed(*objects)) == objects


def test_braces_inside_of_texts_and_of_inner_objects_end_nothing() -> None:
    tricky = {"message": 'a "}" and a {', "inner": {"list": [{"x": "}\n}"}, {}]}}
    assert read(printed(tricky, tricky)) == [tricky, tricky]


def test_an_object_that_was_cut_off_is_not_read() -> None:
    whole = {"status": READY}
    assert read(printed(whole) + printed(whole)[:-2]) == [whole]


def test_a_phase_is_timed_when_it_is_first_seen(progress: Progress, clock: Clock) -> None:
    for moment, status in ((101.0, WAITING), (103.0, WAITING), (107.5, READY)):
        clock.now = moment
        progress.take({"status": status})
    assert progress.seen == {"Loading": 1.0, "Ready": 7.5}


def test_a_workspace_without_status_is_one_that_nobody_has_looked_at(progress: Progress) -> None:
    progress.take({"metadata": {"name": "ws"}})
    assert not progress.ready
    assert (progress.seen, progress.blocked()) == ({}, "the operator has not looked at it yet")


def test_what_it_waits_for_is_told_with_what_to_do(progress: Progress) -> None:
    progress.take({"status": WAITING})
    assert not progress.ready
    assert progress.blocked() == "ModelLoading: It loads. Nothing to do."


def test_it_is_ready_when_the_summing_condition_is_true(progress: Progress) -> None:
    seen = []
    for condition in ("ResourceReady", "InferenceReady", "WorkspaceReady"):
        progress.take({"status": {"conditions": [{"type": condition, "status": "True"}]}})
        seen.append((progress.ready, progress.blocked()))
    nobody = (False, "the operator has not looked at it yet")
    assert seen == [nobody, nobody, (True, "it answers")]


def cells(table: Table) -> list[tuple[str, ...]]:
    return list(zip(*(tuple(str(cell) for cell in column.cells) for column in table.columns), strict=True))


def test_the_timeline_sets_what_each_phase_took_beside_what_was_expected(progress: Progress) -> None:
    progress.seen = {"Loading": 1.5, "Ready": 7.0}
    progress.status = {
        "timeline": [
            {
                "phase": "Loading",
                "startedAt": "2026-01-02T03:04:05Z",
                "endedAt": "2026-01-02T03:04:11Z",
                "expectedSeconds": 9,
            },
            {"phase": "Ready", "startedAt": "2026-01-02T03:04:11Z"},
        ]
    }
    assert cells(timeline(progress, 8.25, goal="under 20 s")) == [
        ("Loading", "1.5 s", "6 s", "9 s"),
        ("Ready", "7.0 s", "", ""),
        ("first answer", "8.2 s", "", "under 20 s"),
    ]


def test_a_phase_that_passed_unseen_has_its_row_too(progress: Progress) -> None:
    entry = {"phase": "Scheduling", "startedAt": "2026-01-02T03:04:05Z", "endedAt": "2026-01-02T03:04:05Z"}
    progress.status = {"timeline": [entry]}
    assert cells(timeline(progress, 1.0, goal=""))[0] == ("Scheduling", "0.0 s", "0 s", "")
