"""Many requests on one engine, with an engine that waits for the test."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from inference_server.engine import KvUsage, NewRow
from inference_server.errors import (
    BadRequest,
    EngineFailed,
    InternalError,
    NotReady,
    QueueFull,
    RequestTimeout,
)
from inference_server.scheduling.scheduler import Limits, Scheduler
from tests.unit.inference_server.scripted import ScriptedBatch, ScriptedEngine, generation, until


class Bench:
    """A scheduler over a scripted engine whose steps wait for step()."""

    def __init__(self) -> None:
        self.engine = ScriptedEngine()
        self.failures: list[str] = []
        self.gate = self.engine.batch.gate = threading.Semaphore(0)
        self.scheduler = self.with_limits()

    @property
    def batch(self) -> ScriptedBatch:
        return self.engine.batch

    def with_limits(self, rows: int = 10, waiting: int = 10, timeout_s: float = 60.0) -> Scheduler:
        self.scheduler = Scheduler(self.engine, Limits(rows, waiting, timeout_s), self.failures.append)
        return self.scheduler

    def step(self, count: int = 1) -> None:
        self.gate.release(count)

    def open(self) -> None:
        """Let it run."""
        self.batch.gate = None
        self.gate.release()


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.open()


async def test_pieces_come_step_by_step_and_a_later_request_joins_between_steps(bench: Bench) -> None:
    first = bench.scheduler.submit(generation("abcd"))
    await until(lambda: bench.batch.added() == ["abcd"])
    bench.step()
    assert [piece.text for piece in await first.read()] == ["a"]
    second = bench.scheduler.submit(generation("xy"))
    bench.step()
    assert [piece.text for piece in await first.read()] == ["b"]
    bench.step()
    assert [piece.text for piece in await second.read()] == ["x"]
    bench.open()
    assert (await first.collect()).answers[0].text == "cd"
    assert (await second.collect()).answers[0].text == "y"
    assert bench.batch.steps()[2] == ("abcd", "xy")
    assert await bench.scheduler.wait_idle(1)


async def test_a_cancelled_request_is_forgotten_at_once_and_leaves_the_next_step(bench: Bench) -> None:
    leaver = bench.scheduler.submit(generation("leaver"))
    stayer = bench.scheduler.submit(generation("stays"))
    await until(lambda: len(bench.batch.added()) == 2)
    bench.step()
    await leaver.read()
    leaver.close()
    assert bench.scheduler.depth == 1
    bench.open()
    await stayer.collect()
    assert bench.batch.steps()[2:] == [("stays",)] * 4
    assert ("remove", "leaver") in bench.batch.log


async def test_cancelling_the_last_request_leaves_nothing_that_runs(bench: Bench) -> None:
    stream = bench.scheduler.submit(generation("x", ignore_eos=True))
    await until(lambda: bench.batch.added() == ["x"])
    stream.close()
    assert await bench.scheduler.wait_idle(1)
    bench.open()
    await until(lambda: bench.scheduler.running_rows == 0)
    steps = len(bench.batch.steps())
    await asyncio.sleep(0.02)
    assert len(bench.batch.steps()) == steps


async def test_one_more_than_may_wait_is_refused_with_a_time(bench: Bench) -> None:
    scheduler = bench.with_limits(rows=1, waiting=1)
    streams = [scheduler.submit(generation("runs"))]
    await until(lambda: bench.batch.added() == ["runs"])
    streams.append(scheduler.submit(generation("waits")))
    with pytest.raises(QueueFull, match="1 requests wait already and 1 may") as refused:
        scheduler.submit(generation("too many"))
    assert refused.value.retry_after_s is not None
    assert 1 <= refused.value.retry_after_s <= 60
    bench.open()
    assert [(await stream.collect()).answers[0].text for stream in streams] == ["runs", "waits"]
    assert (await scheduler.submit(generation("again")).collect()).answers[0].text == "again"


async def test_nothing_may_wait_where_the_queue_has_no_places(bench: Bench) -> None:
    scheduler = bench.with_limits(rows=1, waiting=0)
    scheduler.submit(generation("runs"))
    with pytest.raises(QueueFull):
        scheduler.submit(generation("not admitted yet"))
    await until(lambda: bench.batch.added() == ["runs"])
    with pytest.raises(QueueFull):
        scheduler.submit(generation("admitted by now"))


async def test_the_time_to_come_back_grows_with_the_time_of_a_request(bench: Bench) -> None:
    scheduler = Scheduler(bench.engine, Limits(1, 0, 1e9), bench.failures.append, clock=Ticks(30.0))
    bench.open()
    for _ in range(20):
        await scheduler.submit(generation("a")).collect()
    bench.gate = bench.batch.gate = threading.Semaphore(0)
    scheduler.submit(generation("runs"))
    with pytest.raises(QueueFull) as refused:
        scheduler.submit(generation("x"))
    assert refused.value.retry_after_s == 60


class Ticks:
    """A clock that goes on by so many seconds with every look at it."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._now = 0.0

    def __call__(self) -> float:
        self._now += self._seconds
        return self._now


async def test_a_request_that_takes_too_long_is_told_so(bench: Bench) -> None:
    scheduler = bench.with_limits(timeout_s=0.05)
    stream = scheduler.submit(generation("x", ignore_eos=True))
    await until(lambda: bench.batch.added() == ["x"])
    await asyncio.sleep(0.06)
    bench.open()
    with pytest.raises(RequestTimeout, match=r"0\.05 s"):
        await stream.collect()
    assert scheduler.depth == 0


async def test_a_request_that_the_engine_could_never_generate_is_refused_at_once(bench: Bench) -> None:
    def check(row: NewRow) -> None:
        raise BadRequest("no beams here")

    bench.batch.check = check  # type: ignore[method-assign]
    with pytest.raises(BadRequest, match="no beams"):
        bench.scheduler.submit(generation("x"))
    assert bench.scheduler.depth == 0


async def test_a_closed_scheduler_finishes_what_it_has_and_refuses_the_rest(bench: Bench) -> None:
    stream = bench.scheduler.submit(generation("hi"))
    await until(lambda: bench.batch.added() == ["hi"])
    bench.scheduler.close()
    with pytest.raises(NotReady):
        bench.scheduler.submit(generation("x"))
    assert not await bench.scheduler.wait_idle(0.01)
    bench.open()
    assert (await stream.collect()).answers[0].text == "hi"
    assert await bench.scheduler.wait_idle(1)


async def test_what_the_drain_cuts_off_is_told_to_try_again(bench: Bench) -> None:
    scheduler = bench.with_limits(rows=1)
    streams = [scheduler.submit(generation(text)) for text in ("runs", "waits")]
    await until(lambda: bench.batch.added() == ["runs"])
    scheduler.cancel_all()
    assert await scheduler.wait_idle(1)
    for stream in streams:
        with pytest.raises(NotReady) as refused:
            await stream.collect()
        assert refused.value.retry_after_s == 1
    bench.open()
    await until(lambda: scheduler.running_rows == 0)
    assert bench.batch.added() == ["runs"]


async def test_a_broken_engine_ends_every_request_and_is_reported_once(bench: Bench) -> None:
    scheduler = bench.with_limits(rows=1)
    streams = [scheduler.submit(generation(text)) for text in ("runs", "waits")]
    await until(lambda: bench.batch.added() == ["runs"])
    bench.batch.failure = EngineFailed("CUDA error: the card is gone")
    bench.open()
    for stream in streams:
        with pytest.raises(EngineFailed, match="the card is gone"):
            await stream.collect()
    assert bench.failures == ["CUDA error: the card is gone"]
    with pytest.raises(NotReady):
        scheduler.submit(generation("x"))
    with pytest.raises(EngineFailed):
        await scheduler.between_steps(lambda: None)


async def test_what_waits_to_run_between_steps_hears_of_a_broken_engine(bench: Bench) -> None:
    stream = bench.scheduler.submit(generation("x"))
    await until(lambda: bench.batch.added() == ["x"])
    bench.batch.failure = EngineFailed("gone")
    waiting = asyncio.ensure_future(bench.scheduler.between_steps(lambda: None))
    await asyncio.sleep(0)
    bench.open()
    with pytest.raises(EngineFailed):
        await asyncio.wait_for(waiting, 5)
    with pytest.raises(EngineFailed):
        await stream.collect()


async def test_a_defect_outside_of_the_batchs_step_ends_the_engine_and_not_the_thread_alone(
    bench: Bench,
) -> None:
    """A thread that dies in silence would leave every request waiting for ever."""

    def fits(row: NewRow) -> bool:
        raise ZeroDivisionError

    bench.batch.fits = fits  # type: ignore[method-assign]
    with pytest.raises(EngineFailed, match="ZeroDivisionError"):
        await asyncio.wait_for(bench.scheduler.submit(generation("x")).collect(), 5)
    assert len(bench.failures) == 1


async def test_after_an_unexpected_exception_the_next_request_is_answered(bench: Bench) -> None:
    bench.open()
    bench.batch.failure = KeyError("x")
    with pytest.raises(InternalError):
        await bench.scheduler.submit(generation("a")).collect()
    bench.batch.failure = None
    assert (await bench.scheduler.submit(generation("b")).collect()).answers[0].text == "b"
    assert bench.failures == []


async def test_functions_run_between_steps_in_the_engines_thread_and_return_or_raise(bench: Bench) -> None:
    bench.open()
    assert await bench.scheduler.between_steps(lambda: threading.current_thread().name) == "generate"
    with pytest.raises(ZeroDivisionError):
        await bench.scheduler.between_steps(lambda: 1 // 0)
    assert (await bench.scheduler.submit(generation("on")).collect()).answers[0].text == "on"


async def test_a_function_waits_for_the_step_that_runs(bench: Bench) -> None:
    stream = bench.scheduler.submit(generation("ab"))
    await until(lambda: bench.batch.added() == ["ab"])
    seen: list[int] = []
    running = asyncio.ensure_future(
        bench.scheduler.between_steps(lambda: seen.append(bench.scheduler.step_count))
    )
    await asyncio.sleep(0.02)
    assert seen == []
    bench.step()
    await running
    assert seen == [1]
    bench.open()
    await stream.collect()


async def test_a_function_nobody_waits_for_any_more_does_not_run_and_breaks_nothing(bench: Bench) -> None:
    stream = bench.scheduler.submit(generation("ab"))
    await until(lambda: bench.batch.added() == ["ab"])
    ran: list[int] = []
    waiting = asyncio.ensure_future(bench.scheduler.between_steps(lambda: ran.append(1)))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    bench.open()
    assert (await stream.collect()).answers[0].text == "ab"
    assert ran == []


async def test_a_revision_is_let_go_when_no_request_uses_it(bench: Bench) -> None:
    gone: list[str] = []
    stream = bench.scheduler.submit(generation("ab", adapter="a@1"))
    assert bench.scheduler.revisions_in_use() == {"a@1"}
    assert not await bench.scheduler.unless_in_use("a@1", lambda: gone.append("a@1"))
    bench.open()
    assert await bench.scheduler.unless_in_use("b@1", lambda: gone.append("b@1"))
    await stream.collect()
    assert await bench.scheduler.unless_in_use("a@1", lambda: gone.append("a@1"))
    assert gone == ["b@1", "a@1"]


async def test_a_revision_stays_while_rows_of_a_cancelled_request_are_in_the_batch(bench: Bench) -> None:
    gone: list[str] = []
    stream = bench.scheduler.submit(generation("ab", adapter="a@1"))
    await until(lambda: bench.batch.added() == ["ab"])
    stream.close()
    assert bench.scheduler.revisions_in_use() == set()
    asked = asyncio.ensure_future(bench.scheduler.unless_in_use("a@1", lambda: gone.append("a@1")))
    await asyncio.sleep(0.02)
    bench.step()
    assert not await asked
    assert await bench.scheduler.unless_in_use("a@1", lambda: gone.append("a@1"))


async def test_the_load_is_told_from_another_thread(bench: Bench) -> None:
    scheduler = bench.with_limits(rows=2)
    assert (scheduler.depth, scheduler.waiting, scheduler.running_rows) == (0, 0, 0)
    assert scheduler.kv == KvUsage(0, 0)
    streams = [scheduler.submit(generation(text, answers=n)) for text, n in (("ab", 2), ("c", 1))]
    await until(lambda: scheduler.running_rows == 2)
    assert (scheduler.depth, scheduler.waiting) == (2, 1)
    bench.open()
    for stream in streams:
        await stream.collect()
    await until(lambda: scheduler.depth == 0)
    assert (scheduler.waiting, scheduler.running_rows) == (0, 0)
    assert scheduler.rows_stepped == 2 * 3 + 2
    assert scheduler.step_seconds > 0


async def test_a_thousand_requests_each_get_their_own_answer(bench: Bench) -> None:
    scheduler = bench.with_limits(rows=16, waiting=1000)
    bench.batch.gate = None
    streams = [scheduler.submit(generation(f"answer {number}")) for number in range(1000)]
    results = await asyncio.gather(*(stream.collect() for stream in streams))
    assert [result.answers[0].text for result in results] == [f"answer {n}" for n in range(1000)]
    assert max(len(rows) for rows in bench.batch.steps() if isinstance(rows, tuple)) == 16
    assert await scheduler.wait_idle(1)
