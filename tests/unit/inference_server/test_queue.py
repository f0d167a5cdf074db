"""The bounded queue, with an engine that waits for the test."""

import asyncio
import threading
from collections.abc import Sequence

import pytest
from typing_extensions import override

from inference_server.echo_engine import EchoEngine
from inference_server.engine import GenerationResult, Sampling
from inference_server.errors import EngineFailed, NotReady, QueueFull
from inference_server.generation_queue import GenerationQueue

SAMPLING = Sampling(max_new_tokens=5)
PROMPT = (104, 105)


class HeldEngine(EchoEngine):
    """Generates once `go` is set; counts how many generations began."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.began: list[int] = []
        self.failure: EngineFailed | None = None

    @override
    def generate(
        self, prompt: Sequence[int], sampling: Sampling, cancelled: threading.Event
    ) -> GenerationResult:
        self.began.append(prompt[0])
        while not self.go.wait(0.005):
            if cancelled.is_set():
                break
        if self.failure:
            raise self.failure
        return super().generate(prompt, sampling, cancelled)


async def until(condition: object) -> None:
    assert callable(condition)
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the condition lies in another thread
            await asyncio.sleep(0.001)


async def test_prompts_are_served_one_at_a_time_in_their_order() -> None:
    engine = HeldEngine()
    queue = GenerationQueue(engine, 5, print)
    work = [asyncio.ensure_future(queue.submit((number,), SAMPLING)) for number in (3, 1, 2)]
    await until(lambda: engine.began == [3])
    assert queue.depth == 3
    engine.go.set()
    await asyncio.gather(*work)
    assert engine.began == [3, 1, 2]
    assert await queue.wait_idle(1)


async def test_one_more_than_may_wait_is_refused_with_a_time() -> None:
    engine = HeldEngine()
    queue = GenerationQueue(engine, 1, print)
    work = [asyncio.ensure_future(queue.submit(PROMPT, SAMPLING)) for _ in range(2)]
    await until(lambda: bool(engine.began))
    with pytest.raises(QueueFull) as refused:
        await queue.submit(PROMPT, SAMPLING)
    assert refused.value.retry_after_s
    engine.go.set()
    await asyncio.gather(*work)


async def test_a_waiting_prompt_that_is_cancelled_never_reaches_the_engine() -> None:
    engine = HeldEngine()
    queue = GenerationQueue(engine, 5, print)
    first = asyncio.ensure_future(queue.submit((1,), SAMPLING))
    second = asyncio.ensure_future(queue.submit((2,), SAMPLING))
    await until(lambda: engine.began == [1])
    second.cancel()
    await asyncio.wait([second])
    engine.go.set()
    await first
    await queue.submit((3,), SAMPLING)
    assert engine.began == [1, 3]


async def test_a_running_prompt_that_is_cancelled_makes_room_for_the_next() -> None:
    engine = HeldEngine()
    queue = GenerationQueue(engine, 5, print)
    first = asyncio.ensure_future(queue.submit((1,), SAMPLING))
    await until(lambda: engine.began == [1])
    first.cancel()
    second = asyncio.ensure_future(queue.submit((2,), SAMPLING))
    await until(lambda: engine.began == [1, 2])
    engine.go.set()
    await second


async def test_a_closed_queue_finishes_what_it_has_and_refuses_the_rest() -> None:
    engine = HeldEngine()
    queue = GenerationQueue(engine, 5, print)
    work = asyncio.ensure_future(queue.submit(PROMPT, SAMPLING))
    await until(lambda: bool(engine.began))
    queue.close()
    with pytest.raises(NotReady):
        await queue.submit(PROMPT, SAMPLING)
    assert not await queue.wait_idle(0.01)
    engine.go.set()
    assert (await work).answers[0].text == "hi"


async def test_what_the_drain_cuts_off_is_told_to_try_again() -> None:
    engine = HeldEngine()
    queue = GenerationQueue(engine, 5, print)
    work = [asyncio.ensure_future(queue.submit((number,), SAMPLING)) for number in (1, 2)]
    await until(lambda: engine.began == [1])
    queue.cancel_all()
    for outcome in await asyncio.gather(*work, return_exceptions=True):
        assert isinstance(outcome, NotReady)
    assert engine.began == [1]


async def test_a_broken_engine_closes_the_queue_and_is_reported() -> None:
    engine = HeldEngine()
    engine.failure = EngineFailed("CUDA error: the card is gone")
    engine.go.set()
    told: list[str] = []
    queue = GenerationQueue(engine, 5, told.append)
    with pytest.raises(EngineFailed):
        await queue.submit(PROMPT, SAMPLING)
    assert told == ["CUDA error: the card is gone"]
    with pytest.raises(NotReady):
        await queue.submit(PROMPT, SAMPLING)
