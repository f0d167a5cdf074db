"""The workers: when they work, when they hold back, and what becomes of a failure."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import cast

import pytest

from kaito_operator.kube.errors import Conflict, NotFound, NotLeader, Overloaded, Refused, Unavailable
from kaito_operator.kube.execute import Executor
from kaito_operator.reconcile.decide import Context
from kaito_operator.reconcile.decision import Decision, ServerAddress
from kaito_operator.reconcile.observed import ClusterFacts
from kaito_operator.shell.controller import Controller
from kaito_operator.shell.heartbeat import Heartbeat
from kaito_operator.shell.metrics import Metrics
from kaito_operator.shell.stores import Stores, WorkspaceKey
from kaito_operator.shell.workqueue import WorkQueue
from presets.catalog import load_catalog
from tests.support.objects import NOW, Obj, a_pod, a_workspace, running
from tests.support.world import RUNTIME

KEY = ("ns", "ws")


class Hands:
    """Carries out nothing: takes down what it is given, and does as the test says."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.began = asyncio.Event()
        self.decisions: list[Decision] = []
        self.orphans: list[Obj] = []
        self.then: Callable[[], Awaitable[bool]] = self._nothing

    async def _nothing(self) -> bool:
        return False

    async def delete_orphans(self, key: WorkspaceKey, claims: tuple[Obj, ...]) -> None:
        self.orphans += claims

    async def execute(self, workspace: Obj, decision: Decision) -> bool:
        self.done.append(workspace["metadata"]["name"])
        self.began.set()
        self.decisions.append(decision)
        return await self.then()


class Servers:
    """Takes down which pods are to be asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def ask(self, addresses: tuple[ServerAddress, ...]) -> None:
        self.asked += [address.pod.name for address in addresses]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """A controller whose time stands still and whose hands are ours."""

    def __init__(self) -> None:
        self.hands, self.stores, self.clock = Hands(), Stores(), Clock()
        self.queue: WorkQueue[WorkspaceKey] = WorkQueue(self.clock, jitter=lambda: 1.0)
        self.metrics = Metrics()
        self.servers = Servers()
        self.controller = Controller(
            stores=self.stores,
            queue=self.queue,
            executor=cast("Executor", self.hands),
            facts=lambda: ClusterFacts((1, 36)),
            context=lambda _: Context(load_catalog(), RUNTIME, NOW),
            ask=self.servers.ask,
            leading=asyncio.Event(),
            synced=asyncio.Event(),
            metrics=self.metrics,
            heartbeat=Heartbeat(),
        )
        self.controller.leading.set()
        self.controller.synced.set()

    def add(self, *names: str) -> None:
        for name in names:
            self.stores.workspaces.put(a_workspace(name))
            self.queue.add(("ns", name))

    async def work(self, turns: int = 50) -> None:
        """Let one worker run for so many turns of the event loop."""
        worker = asyncio.create_task(self.controller.work())
        for _ in range(turns):
            await asyncio.sleep(0)
        worker.cancel()

    def results(self) -> dict[str, float]:
        samples = [s for metric in self.metrics.reconciles.collect() for s in metric.samples]
        return {s.labels["result"]: s.value for s in samples if s.name.endswith("_total")}


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_a_key_is_worked_on(bench: Bench) -> None:
    bench.add("ws")
    await bench.work()
    assert bench.hands.done == ["ws"]
    assert bench.results() == {"ok": 1}
    assert [obj["kind"] for obj in bench.hands.decisions[0].apply] == ["ConfigMap", "Deployment", "Service"]


async def test_nothing_is_decided_from_half_a_picture(bench: Bench) -> None:
    bench.add("ws")
    bench.controller.synced.clear()
    await bench.work()
    assert bench.hands.done == []


async def test_a_replica_that_does_not_lead_does_nothing(bench: Bench) -> None:
    bench.add("ws")
    bench.controller.leading.clear()
    await bench.work()
    assert bench.hands.done == []
    assert len(bench.queue) == 1


async def test_a_key_taken_while_the_lease_was_lost_is_kept_for_later(bench: Bench) -> None:
    worker = asyncio.create_task(bench.controller.work())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    bench.controller.leading.clear()
    bench.add("ws")
    for _ in range(20):
        await asyncio.sleep(0)
    assert bench.hands.done == []
    assert len(bench.queue) == 1
    bench.controller.leading.set()
    for _ in range(20):
        await asyncio.sleep(0)
    assert bench.hands.done == ["ws"]
    worker.cancel()


async def test_a_replica_that_begins_to_lead_looks_at_every_workspace(bench: Bench) -> None:
    for name in ("a", "b"):
        bench.stores.workspaces.put(a_workspace(name))
    bench.controller.resync()
    await bench.work()
    assert sorted(bench.hands.done) == ["a", "b"]


async def test_others_get_their_turn_between_reconciles_that_write_nothing(bench: Bench) -> None:
    bench.add(*(f"ws-{number}" for number in range(40)))
    done_at_their_turn: list[int] = []

    async def another() -> None:
        for _ in range(5):
            done_at_their_turn.append(len(bench.hands.done))
            await asyncio.sleep(0)

    await asyncio.gather(bench.work(), another())
    assert max(done_at_their_turn) < 20


async def test_a_workspace_that_is_gone_is_nothing_to_do(bench: Bench) -> None:
    bench.queue.add(KEY)
    await bench.work()
    assert bench.hands.done == []
    assert bench.results() == {"ok": 1}
    assert len(bench.queue) == 0


FAILURES = [
    ("another wrote first", Conflict(409, "changed"), "stale", 0.1),
    ("it was deleted", NotFound(404, "gone"), "stale", 0.1),
    ("the Lease has run out", NotLeader("no"), "not_leader", 1.0),
    ("the server is down", Unavailable(503, "down"), "api_error", 0.05),
    ("the server is busy", Overloaded(429, "slow", retry_after_s=7.0), "api_error", 7.0),
    ("the status is refused", Refused(422, "no"), "api_error", 0.05),
    ("it took too long", TimeoutError(), "api_error", 0.05),
    ("there is a fault in our code", ZeroDivisionError(), "fault", 0.05),
]


@pytest.mark.parametrize(
    ("error", "result", "delay_s"), [row[1:] for row in FAILURES], ids=[row[0] for row in FAILURES]
)
async def test_it_is_tried_again_later_when(
    bench: Bench, error: Exception, result: str, delay_s: float
) -> None:
    async def fail() -> bool:
        raise error

    bench.hands.then = fail
    bench.add("ws")
    await bench.work()
    assert (bench.hands.done, bench.results()) == (["ws"], {result: 1})
    bench.clock.now = delay_s - 0.001
    await bench.work()
    assert bench.hands.done == ["ws"]
    bench.clock.now = delay_s + 0.001
    await bench.work()
    assert bench.hands.done == ["ws", "ws"]


async def test_success_lets_the_next_failure_start_over(bench: Bench) -> None:
    async def fail() -> bool:
        raise Unavailable(503, "down")

    async def succeed() -> bool:
        return False

    for then in (fail, fail, succeed):
        bench.hands.then = then
        bench.add("ws")
        await bench.work()
    assert bench.queue.retry(KEY) == 0.05


async def test_what_was_learned_is_decided_on_at_once(bench: Bench) -> None:
    answers = [True, False]

    async def learn() -> bool:
        return answers.pop(0)

    bench.hands.then = learn
    bench.add("ws")
    await bench.work()
    assert bench.hands.done == ["ws", "ws"]


async def test_a_pod_that_loads_for_too_long_is_not_looked_at_without_end(bench: Bench) -> None:
    bench.add("ws")
    await bench.work()
    (_, deployment, _) = bench.hands.decisions[0].apply
    template = deployment["spec"]["template"]["metadata"]
    pod = a_pod(
        template_hash=template["annotations"]["kaito.sh/template-hash"],
        containerStatuses=[running(since=-100_000)],
    )
    bench.stores.pods.put(pod)
    bench.stores.index_pod(None, pod)
    bench.hands.done.clear()
    bench.add("ws")
    await bench.work()
    assert bench.hands.done == ["ws"]


async def test_a_drain_lets_work_end_and_begins_no_more(bench: Bench) -> None:
    released = asyncio.Event()

    async def wait() -> bool:
        await released.wait()
        return False

    bench.hands.then = wait
    bench.controller.idle.set()  # as after earlier work
    bench.add("a", "b")
    worker = asyncio.create_task(bench.controller.work())
    await bench.hands.began.wait()
    drain = asyncio.create_task(bench.controller.drain(5))
    await asyncio.sleep(0)
    assert not drain.done()
    released.set()
    async with asyncio.timeout(1):
        await drain
        await worker
    assert bench.hands.done == ["a"]


async def test_a_drain_does_not_wait_for_ever(bench: Bench) -> None:
    async def hang() -> bool:
        await asyncio.Event().wait()
        return False

    bench.hands.then = hang
    bench.add("ws")
    worker = asyncio.create_task(bench.controller.work())
    await bench.hands.began.wait()
    async with asyncio.timeout(1):
        await bench.controller.drain(0.01)
    worker.cancel()


async def test_an_idle_controller_is_drained_at_once(bench: Bench) -> None:
    async with asyncio.timeout(1):
        await bench.controller.drain(5)


async def test_time_is_told_by_the_controller(bench: Bench) -> None:
    told: list[datetime] = []

    def context(now: datetime) -> Context:
        told.append(now)
        return Context(load_catalog(), RUNTIME, NOW)

    bench.controller.context = context
    bench.add("ws")
    await bench.work()
    assert told[0].tzinfo is not None


async def test_servers_with_adapters_are_asked_and_the_answer_decided_on_at_once(bench: Bench) -> None:
    adapters = [{"source": {"name": "a", "image": "reg/a:1"}}]
    inference = {"preset": {"name": "smollm2-135m-instruct"}, "adapters": adapters}
    bench.stores.workspaces.put(a_workspace("ws", inference=inference))
    bench.queue.add(KEY)
    await bench.work()
    assert bench.servers.asked == []
    (_, deployment, _) = bench.hands.decisions[0].apply
    template = deployment["spec"]["template"]["metadata"]
    pod = a_pod(ready=True, template_hash=template["annotations"]["kaito.sh/template-hash"], podIP="10.0.0.1")
    bench.stores.pods.put(pod)
    bench.stores.index_pod(None, pod)
    bench.queue.add(KEY)
    bench.hands.done.clear()
    await bench.work(turns=12)
    assert bench.servers.asked[:1] == ["ws-1"]
    assert len(bench.hands.done) > 1
