"""An engine that fails at awkward moments: it is told as what it is, and nobody waits for ever."""

import asyncio
import threading
from collections.abc import Mapping
from typing import Any

import pytest
from typing_extensions import override

from inference_server.engine import NewRow, Outcome
from inference_server.errors import EngineFailed
from inference_server.scheduling.row import Job
from inference_server.scheduling.scheduler import Limits, Scheduler
from inference_server.scheduling.steps import Steps
from inference_server.scheduling.stream import Stream
from tests.unit.inference_server.scripted import ScriptedBatch, ScriptedEngine, generation, until


def job(text: str, **sampling: Any) -> Job:
    return Job(generation(text, **sampling), Stream(1, len(text), lambda: None), 0.0, 1e12)


async def test_a_function_nobody_waits_for_does_not_keep_a_broken_engine_secret() -> None:
    """Its future cannot take the error. A thread that ends on that leaves every request waiting."""
    engine, failures = ScriptedEngine(), list[str]()
    gate = engine.batch.gate = threading.Semaphore(0)
    scheduler = Scheduler(engine, Limits(10, 10, 60.0), failures.append)
    stream = scheduler.submit(generation("x"))
    await until(lambda: engine.batch.added() == ["x"])
    engine.batch.failure = EngineFailed("gone")
    waiting = asyncio.ensure_future(scheduler.between_steps(lambda: None))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    gate.release()
    with pytest.raises(EngineFailed):
        await asyncio.wait_for(stream.collect(), 5)
    assert failures == ["gone"]


async def test_the_rows_of_a_request_are_checked_once() -> None:
    """They differ in their seeds alone, and a check may compile a grammar: in the event loop."""
    engine = ScriptedEngine()
    checked: list[NewRow] = []
    engine.batch.check = checked.append  # type: ignore[method-assign, assignment]
    scheduler = Scheduler(engine, Limits(10, 10, 60.0), lambda _: None)
    await scheduler.submit(generation("x", answers=5)).collect()
    assert len(checked) == 1


class _Halting(ScriptedBatch):
    """Every other step succeeds and gives no token, as the first piece of a long prompt."""

    fails = True

    @override
    def step(self) -> Mapping[int, Outcome]:
        self.fails = not self.fails
        if self.fails:
            raise ValueError("x")
        return {}


def test_a_step_without_a_token_between_failures_does_not_make_up_for_them() -> None:
    engine = ScriptedEngine()
    engine.batch = _Halting()
    steps = Steps(engine, 10)
    pieces = [steps.advance([job("a")]) for _ in range(5)]
    assert [len(each) for each in pieces] == [0, 2, 0, 2, 0]
    with pytest.raises(EngineFailed, match="3 steps in a row failed with ValueError"):
        steps.advance([])


class _Lost(ScriptedBatch):
    """Loses its group when a row leaves, and says so once: the row is gone then."""

    said = False

    @override
    def remove(self, row_id: int) -> None:
        if not self.said:
            self.said = True
            raise EngineFailed("a process of the group is lost")


def test_a_group_that_is_lost_while_a_row_leaves_is_no_defect_of_the_row() -> None:
    engine = ScriptedEngine()
    engine.batch = _Lost()
    with pytest.raises(EngineFailed, match="is lost"):
        Steps(engine, 10).advance([job("a", max_new_tokens=1)])
