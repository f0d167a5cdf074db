"""What the engine's thread does between two looks at the queue; here without the thread."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from typing_extensions import override

from inference_server.engine import NewRow, Outcome, Token, Whole
from inference_server.errors import (
    BadRequest,
    EngineFailed,
    InternalError,
    OutOfMemory,
    RequestError,
    RequestTimeout,
)
from inference_server.scheduling.row import Job
from inference_server.scheduling.steps import Pieces, Steps
from inference_server.scheduling.stream import Delta, Stream
from tests.unit.inference_server.scripted import ScriptedBatch, ScriptedEngine, generation

SECRET = "what the user wrote"


class Bench:
    """Steps over a scripted engine, with a clock that the test moves; collects what each job hears."""

    def __init__(self, rows: int = 10) -> None:
        self.engine = ScriptedEngine()
        self.now = 0.0
        self.steps = Steps(self.engine, rows, lambda: self.now)
        self.heard: dict[str, list[Delta]] = {}
        self.errors: dict[str, RequestError] = {}
        self._names: dict[int, str] = {}

    @property
    def batch(self) -> ScriptedBatch:
        return self.engine.batch

    def job(self, text: str, answers: int = 1, seconds: float = 1000.0, **sampling: Any) -> Job:
        made = generation(text, answers, **sampling)
        stream = Stream(answers, len(text), lambda: None)
        job = Job(made, stream, self.now, self.now + seconds)
        self._names[id(job)] = text
        return job

    def advance(self, *arrived: Job) -> Pieces:
        pieces = self.steps.advance(arrived)
        for job, deltas, error in pieces:
            name = self._names[id(job)]
            self.heard.setdefault(name, []).extend(deltas)
            if error is not None:
                self.errors[name] = error
        return pieces

    def run(self) -> None:
        for _ in range(1000):
            if not self.steps.busy:
                return
            self.advance()
        raise AssertionError("still busy after 1000 steps")

    def text(self, name: str, index: int = 0) -> str:
        return "".join(delta.text for delta in self.heard.get(name, []) if delta.index == index)

    def finishes(self, name: str) -> list[str]:
        return [delta.finish for delta in self.heard.get(name, []) if delta.finish]


def test_a_request_joins_those_that_run_and_each_gets_its_own_answer() -> None:
    bench = Bench()
    bench.advance(bench.job("first"))
    bench.advance(bench.job("second one"))
    bench.run()
    assert bench.batch.steps()[:2] == [("first",), ("first", "second one")]
    assert {name: bench.text(name) for name in ("first", "second one")} == {
        "first": "first",
        "second one": "second one",
    }
    assert bench.finishes("first") == ["stop"]
    assert bench.batch.prompts == {}


def test_a_cancelled_row_takes_part_in_no_further_step() -> None:
    bench = Bench()
    leaver = bench.job("leaves")
    bench.advance(leaver, bench.job("stays"))
    leaver.cancelled = True
    bench.advance()
    assert bench.batch.steps() == [("leaves", "stays"), ("stays",)]


def test_a_cancelled_request_that_waits_never_reaches_the_engine() -> None:
    bench = Bench(rows=1)
    waiting = bench.job("waits")
    bench.advance(bench.job("runs"), waiting)
    waiting.cancelled = True
    bench.run()
    assert bench.batch.added() == ["runs"]


def test_rows_beyond_the_limit_wait_in_order_and_come_as_places_get_free() -> None:
    bench = Bench(rows=2)
    bench.advance(*(bench.job(name) for name in ("aaa", "b", "c", "d")))
    assert bench.batch.added() == ["aaa", "b"]
    bench.run()
    assert bench.batch.added() == ["aaa", "b", "c", "d"]
    assert max(len(rows) for rows in bench.batch.steps() if isinstance(rows, tuple)) == 2


def test_what_does_not_fit_the_memory_holds_up_those_behind_it() -> None:
    """A small request that overtakes could keep a large one waiting for ever."""
    bench = Bench()
    bench.batch.capacity = 1
    bench.advance(bench.job("runs"), bench.job("large"), bench.job("small"))
    assert bench.batch.added() == ["runs"]
    bench.run()
    assert bench.batch.added() == ["runs", "large", "small"]


def test_the_rows_of_one_request_may_start_at_different_times() -> None:
    bench = Bench(rows=2)
    bench.advance(bench.job("abc", answers=3), bench.job("next"))
    bench.run()
    assert [bench.text("abc", index) for index in range(3)] == ["abc"] * 3
    assert bench.finishes("abc") == ["stop"] * 3
    assert bench.batch.added() == ["abc", "abc", "abc", "next"]


def test_a_request_ends_at_its_deadline_whether_it_waits_or_runs() -> None:
    bench = Bench(rows=1)
    bench.advance(bench.job("runs long", seconds=2), bench.job("waits", seconds=2))
    bench.now = 2.5
    bench.advance(bench.job("later"))
    for name in ("runs long", "waits"):
        assert isinstance(bench.errors[name], RequestTimeout)
        assert "2 s" in str(bench.errors[name])
    bench.run()
    assert bench.batch.added() == ["runs long", "later"]
    assert bench.finishes("later") == ["stop"]


def test_a_row_that_fails_ends_its_request_and_no_other() -> None:
    bench = Bench()
    bench.batch.row_errors["x"] = OutOfMemory("no room")
    bench.advance(bench.job("x1"), bench.job("good"), bench.job("x2", answers=2))
    bench.run()
    assert {name: type(error) for name, error in bench.errors.items()} == {
        "x1": OutOfMemory,
        "x2": OutOfMemory,
    }
    assert bench.text("good") == "good"


@pytest.mark.parametrize("error", [BadRequest("no such grammar"), KeyError(SECRET)])
def test_a_row_that_the_engine_does_not_take_ends_its_request_and_no_other(error: Exception) -> None:
    bench = Bench()

    def refuse(row: NewRow) -> None:
        if chr(row.prompt[0]) == "x":
            raise error

    bench.batch.on_add = refuse
    bench.advance(bench.job("good"), bench.job("x", answers=2), bench.job("also"))
    bench.run()
    assert list(bench.errors) == ["x"]
    assert SECRET not in str(bench.errors["x"])
    assert [bench.text("good"), bench.text("also")] == ["good", "also"]


def test_a_token_that_cannot_be_made_text_ends_its_request_and_no_other() -> None:
    bench = Bench()
    bench.batch.on_add = lambda row: None
    broken = bench.job("broken")
    bench.advance(broken, bench.job("good"))
    original = bench.batch.step
    row_id = broken.generation.rows[0].id
    bench.batch.step = lambda: {**original(), row_id: Token(-1)}  # type: ignore[method-assign]
    bench.run()
    assert isinstance(bench.errors["broken"], InternalError)
    assert bench.text("good") == "good"
    assert bench.batch.prompts == {}


def test_an_unexpected_exception_ends_what_runs_and_the_next_request_is_answered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench(rows=2)
    bench.batch.failure = KeyError(SECRET)
    bench.advance(bench.job("a"), bench.job("b"), bench.job("waits"))
    assert {name: type(error) for name, error in bench.errors.items()} == {
        "a": InternalError,
        "b": InternalError,
    }
    bench.batch.failure = None
    bench.run()
    assert bench.text("waits") == "waits"
    logged = str([record.__dict__ for record in caplog.records])
    assert SECRET not in logged
    assert "KeyError" in logged
    assert "scripted.py" in logged  # the place is told
    assert all(record.levelno == logging.ERROR for record in caplog.records)


def test_three_failures_in_a_row_mean_that_the_engine_is_broken() -> None:
    bench = Bench()
    bench.batch.failure = ValueError("x")
    bench.advance(bench.job("a"))
    bench.advance(bench.job("b"))
    with pytest.raises(EngineFailed, match="3 steps in a row failed with ValueError"):
        bench.advance(bench.job("c"))


def test_failures_with_a_token_between_them_do_not_add_up() -> None:
    bench = Bench()
    for name in ("a", "b", "c", "d"):
        bench.batch.failure = ValueError("x")
        bench.advance(bench.job(name))
        bench.batch.failure = None
        bench.advance(bench.job(f"{name} good"))
        bench.run()
    assert len(bench.errors) == 4


def test_an_engine_that_says_it_is_broken_is_believed_at_once() -> None:
    bench = Bench()
    bench.batch.failure = EngineFailed("CUDA error")
    with pytest.raises(EngineFailed, match="CUDA error"):
        bench.advance(bench.job("a"))


LIMITS: list[tuple[str, dict[str, Any], str, str, int]] = [
    ("to the end", {}, "abc", "stop", 4),
    ("the limit", {"max_new_tokens": 2}, "ab", "length", 2),
    ("a stop text", {"stop": ("b",)}, "a", "stop", 2),
    ("a stop text over several tokens", {"stop": ("bc",)}, "a", "stop", 3),
    ("the beginning of a stop text at the end", {"stop": ("cd",)}, "abc", "stop", 4),
    ("the beginning of a stop text at the limit", {"stop": ("bx",), "max_new_tokens": 2}, "ab", "length", 2),
    ("a stop text at the limit", {"stop": ("b",), "max_new_tokens": 2}, "a", "stop", 2),
    ("no end token counts", {"ignore_eos": True, "max_new_tokens": 5}, "abcab", "length", 5),
]


@pytest.mark.parametrize(("name", "sampling", "text", "finish", "tokens"), LIMITS, ids=[r[0] for r in LIMITS])
def test_an_answer_ends_where_it_should(
    name: str, sampling: dict[str, Any], text: str, finish: str, tokens: int
) -> None:
    bench = Bench()
    bench.advance(bench.job("abc", **sampling))
    bench.run()
    assert bench.text("abc") == text
    assert bench.finishes("abc") == [finish]
    assert sum(delta.token is not None for delta in bench.heard["abc"]) == tokens


class _Beams(ScriptedBatch):
    """Says nothing for two steps, then all answers at once."""

    left = 3

    @override
    def step(self) -> Mapping[int, Outcome]:
        self.left -= 1
        if self.left:
            return {}
        ended = (Token(ord("a")), Token(ord("b")), Token(3, is_end=True))
        cut = (Token(ord("c")), Token(ord("d")))
        whole = Whole((ended, cut, (*cut, Token(ord("e")))))
        outcomes: dict[int, Outcome] = dict.fromkeys(self.prompts, whole)
        self.prompts.clear()
        return outcomes


def test_beams_come_whole_and_each_ends_by_its_own_rules() -> None:
    bench = Bench()
    bench.engine.batch = _Beams()
    bench.advance(bench.job("x", num_beams=3, num_return_sequences=3, max_new_tokens=3, stop=("e",)))
    bench.run()
    assert [bench.text("x", index) for index in range(3)] == ["ab", "cd", "cd"]
    assert bench.finishes("x") == ["stop", "length", "stop"]


def test_the_load_is_counted() -> None:
    bench = Bench()
    bench.advance(bench.job("ab"), bench.job("abcd"))
    bench.run()
    assert (bench.steps.count, bench.steps.rows_stepped, bench.steps.running) == (5, 3 + 5, 0)


def test_what_nobody_knows_is_left_alone() -> None:
    """Rows that end and rows that are removed cross each other."""
    bench = Bench()
    bench.advance(bench.job("ab"))
    original: Callable[[], Mapping[int, Outcome]] = bench.batch.step
    bench.batch.step = lambda: {**original(), 10**9: Token(97)}  # type: ignore[method-assign]
    bench.run()
    assert bench.text("ab") == "ab"
