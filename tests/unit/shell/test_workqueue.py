import asyncio

import pytest

from kaito_operator.shell.workqueue import WorkQueue


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> WorkQueue[str]:
    return WorkQueue(clock, jitter=lambda: 1.0)


async def taken(queue: WorkQueue[str]) -> str | None:
    """The next key, or None when a worker would have to wait."""
    try:
        async with asyncio.timeout(0.01):
            return await queue.get()
    except TimeoutError:
        return None


async def test_a_key_added_many_times_is_worked_on_once(queue: WorkQueue[str]) -> None:
    for _ in range(5):
        queue.add("a")
    assert await taken(queue) == "a"
    assert await taken(queue) is None


async def test_a_key_is_never_held_by_two_workers(queue: WorkQueue[str]) -> None:
    queue.add("a")
    assert await taken(queue) == "a"
    queue.add("a")
    assert await taken(queue) is None


async def test_a_change_during_work_is_not_lost(queue: WorkQueue[str]) -> None:
    queue.add("a")
    await queue.get()
    queue.add("a")
    queue.done("a")
    assert await taken(queue) == "a"


async def test_a_users_change_overtakes_the_resync(queue: WorkQueue[str]) -> None:
    for key in ("r1", "r2", "r3"):
        queue.add(key, urgent=False)
    queue.add("u")
    queue.add("r3")
    assert [await taken(queue) for _ in range(5)] == ["u", "r3", "r1", "r2", None]


async def test_a_promoted_key_is_not_worked_on_twice(queue: WorkQueue[str]) -> None:
    queue.add("a", urgent=False)
    queue.add("a", urgent=True)
    assert await taken(queue) == "a"
    queue.done("a")
    assert await taken(queue) is None


async def test_a_resync_add_does_not_demote_an_urgent_key(queue: WorkQueue[str]) -> None:
    queue.add("a")
    queue.add("a", urgent=False)
    queue.add("b")
    assert [await taken(queue), await taken(queue)] == ["a", "b"]


async def test_of_two_delays_the_earlier_counts(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add_after("a", 10)
    queue.add_after("a", 5)
    queue.add_after("a", 20)
    clock.now = 4.9
    assert await taken(queue) is None
    clock.now = 5.0
    assert await taken(queue) == "a"
    queue.done("a")
    clock.now = 30.0
    assert await taken(queue) is None


async def test_a_delayed_key_wakes_a_waiting_worker_by_itself() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add_after("a", 0.02)
    async with asyncio.timeout(1):
        assert await queue.get() == "a"


async def test_a_waiting_worker_learns_of_an_earlier_wish() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add_after("late", 60)
    worker = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add_after("early", 0.01)
    async with asyncio.timeout(1):
        assert await worker == "early"


async def test_a_key_added_while_it_is_held_does_not_fill_the_lane(queue: WorkQueue[str]) -> None:
    queue.add("a")
    await queue.get()
    queue.add("a")
    queue.add("b")
    assert await taken(queue) == "b"
    queue.done("a")
    assert [await taken(queue), await taken(queue)] == ["a", None]


async def test_retries_wait_longer_each_time_and_start_over_after_success(queue: WorkQueue[str]) -> None:
    delays = [queue.retry("a") for _ in range(3)]
    assert delays == [0.05, 0.1, 0.2]
    queue.forget("a")
    assert queue.retry("a") == 0.05


async def test_a_retry_never_waits_longer_than_two_minutes(queue: WorkQueue[str]) -> None:
    assert max(queue.retry("a") for _ in range(60)) == 120.0


async def test_a_retry_waits_at_least_as_long_as_the_server_asks(queue: WorkQueue[str]) -> None:
    assert queue.retry("a", at_least_s=7.0) == 7.0


async def test_every_key_is_worked_on_by_many_workers_exactly_once() -> None:
    queue: WorkQueue[int] = WorkQueue()
    held: set[int] = set()
    done: list[int] = []
    finished = asyncio.Event()

    async def worker() -> None:
        while True:
            key = await queue.get()
            assert key not in held
            held.add(key)
            await asyncio.sleep(0)
            held.discard(key)
            done.append(key)
            queue.done(key)
            if len(done) == 200:
                finished.set()

    workers = [asyncio.create_task(worker()) for _ in range(8)]
    for key in range(200):
        queue.add(key, urgent=key % 2 == 0)
    async with asyncio.timeout(2):
        await finished.wait()
    for task in workers:
        task.cancel()
    assert sorted(done) == list(range(200))
