"""The operator process: build everything, start it in order, stop it in order.

Start: HTTP, elector, workers, sweeper, and kopf last, because kopf cancels every task that is younger
than itself when it ends. Any task that ends by itself ends the process; the kubelet starts it again.
Stop, on SIGTERM: workers finish what they hold, the Lease is given back, the watches are cut.
"""

import asyncio
import logging
import signal
from datetime import UTC, datetime
from functools import partial

import kopf

from kaito_operator.kube.client import Kube
from kaito_operator.kube.events import EventRecorder
from kaito_operator.kube.execute import Executor
from kaito_operator.kube.leader import Elector
from kaito_operator.kube.login import credentials
from kaito_operator.reconcile.decide import Context
from kaito_operator.reconcile.observed import ClusterFacts
from kaito_operator.settings import Settings
from kaito_operator.shell.controller import Controller
from kaito_operator.shell.heartbeat import Heartbeat
from kaito_operator.shell.http import Probes
from kaito_operator.shell.metrics import Metrics
from kaito_operator.shell.stores import Stores, WorkspaceKey
from kaito_operator.shell.sweep import Sweeper
from kaito_operator.shell.watch import Watch, watch_settings
from kaito_operator.shell.workqueue import WorkQueue
from presets.catalog import load_catalog

LEASE_NAME = "kaito-operator"
DRAIN_S = 5.0
CANCEL_S = 2.0

logger = logging.getLogger(__name__)


async def run(settings: Settings) -> int:
    """Run until SIGTERM, or until a part fails.

    Returns:
        Exit code: 0 after SIGTERM, 1 when a part ended by itself.
    """
    access = credentials()
    metrics, heartbeat, stores = Metrics(), Heartbeat(), Stores()
    queue: WorkQueue[WorkspaceKey] = WorkQueue()
    synced = asyncio.Event()

    def count(verb: str, _path: str, status: int) -> None:
        metrics.requests.labels(verb, str(status)).inc()

    async with Kube(access, observe=count) as lease_client:
        elector = Elector(lease_client, settings.namespace, LEASE_NAME, settings.identity)
        async with Kube(access, elector.write_budget_s, count) as kube:
            facts = ClusterFacts(version=await _server_version(kube))
            controller = Controller(
                stores=stores,
                queue=queue,
                executor=Executor(kube, EventRecorder(kube), stores, partial(datetime.now, UTC)),
                facts=lambda: facts,
                context=partial(Context, load_catalog(), settings.runtime),
                leading=elector.leading,
                synced=synced,
                metrics=metrics,
                heartbeat=heartbeat,
            )
            elector.on_lead = controller.resync
            probes = Probes(stores, queue, elector, synced, metrics, heartbeat)
            return await Process(settings, elector, controller, Sweeper(kube, queue)).run(probes)


async def _server_version(kube: Kube) -> tuple[int, int]:
    answer = await kube.get("/version")
    digits = [
        int("".join(c for c in str(answer.get(k, "0")) if c.isdigit()) or 0) for k in ("major", "minor")
    ]
    return digits[0], digits[1]


class Process:
    """The tasks of the process, in the order in which they start."""

    def __init__(
        self, settings: Settings, elector: Elector, controller: Controller, sweeper: Sweeper
    ) -> None:
        self._settings = settings
        self._elector = elector
        self._controller = controller
        self._sweeper = sweeper
        self._watch = Watch(controller.stores, controller.queue, controller.synced, sweeper.relisted)
        self._watching = asyncio.Event()

    async def run(self, probes: Probes) -> int:
        """See `run` of this module."""
        server = await probes.start(self._settings.http_port)
        controller = self._controller
        parts = [
            asyncio.create_task(self._elector.run(), name="elector"),
            asyncio.create_task(controller.heartbeat.run(), name="heartbeat"),
            asyncio.create_task(self._sweeper.run(self._watch), name="sweeper"),
            asyncio.create_task(self._until_stopped(), name="signals"),
            *(asyncio.create_task(controller.work()) for _ in range(self._settings.workers)),
        ]
        parts.append(asyncio.create_task(self._run_kopf(), name="kopf"))
        done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        code = self._verdict(done)
        await self._shut_down(parts)
        await server.cleanup()
        return code

    async def _run_kopf(self) -> None:
        await kopf.operator(
            registry=self._watch.registry(),
            settings=watch_settings(self._watch.kinds),
            clusterwide=True,
            standalone=True,
            ready_flag=self._watching,
        )

    async def _until_stopped(self) -> None:
        """Return on SIGTERM or SIGINT.

        kopf installs handlers of its own when it starts, and takes many seconds to end its watches; ours
        replace them, since we have nothing to wait for but our own writes.
        """
        await self._watching.wait()
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await stop.wait()

    def _verdict(self, done: set[asyncio.Task[None]]) -> int:
        for task in done:
            error = None if task.cancelled() else task.exception()
            if error is not None:
                logger.error("part failed", extra={"part": task.get_name()}, exc_info=error)
                return 1
        names = [task.get_name() for task in done]
        # Before our handlers are in place, kopf's end on a signal.
        stopped = "signals" in names or ("kopf" in names and not self._watching.is_set())
        logger.info("stopping", extra={"parts": names})
        return 0 if stopped else 1

    async def _shut_down(self, parts: list[asyncio.Task[None]]) -> None:
        await self._controller.drain(DRAIN_S)
        # The elector first: its next renewal would take back what is given back.
        await _cancel([task for task in parts if task.get_name() == "elector"])
        await self._elector.release()
        await _cancel(parts)


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=CANCEL_S)
