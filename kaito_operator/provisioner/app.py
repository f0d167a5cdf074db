"""The provisioner process: build everything, start it in order, stop it in order. As the operator's `app`."""

import asyncio
import logging
import os
import random
import signal
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import kopf

from kaito_operator.kube.client import Kube
from kaito_operator.kube.leader import Elector
from kaito_operator.kube.login import credentials
from kaito_operator.provisioner.azure_calls import AzureCalls
from kaito_operator.provisioner.azure_cloud import AzureCloud
from kaito_operator.provisioner.claims import ClaimKey
from kaito_operator.provisioner.cloud import Cloud
from kaito_operator.provisioner.collector import Collector
from kaito_operator.provisioner.controller import Controller
from kaito_operator.provisioner.decision import Context
from kaito_operator.provisioner.http import Probes
from kaito_operator.provisioner.identity import credential
from kaito_operator.provisioner.memory import Troubles
from kaito_operator.provisioner.metrics import Metrics
from kaito_operator.provisioner.operations import Operations
from kaito_operator.provisioner.perform import Performer
from kaito_operator.provisioner.pools import Pools
from kaito_operator.provisioner.reconciler import POOLS, Reconciler
from kaito_operator.provisioner.settings import Settings
from kaito_operator.provisioner.stores import ClaimStores
from kaito_operator.provisioner.watch import ClaimWatch
from kaito_operator.shell.heartbeat import Heartbeat
from kaito_operator.shell.sweep import Sweeper
from kaito_operator.shell.watch import watch_settings
from kaito_operator.shell.workqueue import WorkQueue

LEASE_NAME = "kaito-gpu-provisioner"
DRAIN_S = 10.0
CANCEL_S = 2.0

logger = logging.getLogger(__name__)


async def run(settings: Settings) -> int:
    """Run until SIGTERM, or until a part fails.

    Returns:
        Exit code: 0 after SIGTERM, 1 when a part ended by itself.
    """
    access = credentials()
    metrics = Metrics()

    def count(verb: str, _path: str, status: int) -> None:
        metrics.requests.labels(verb, str(status)).inc()

    identity = credential(settings.azure, in_cluster="KUBERNETES_SERVICE_HOST" in os.environ)
    async with Kube(access, observe=count) as lease_client, AzureCloud(settings.azure, identity) as cloud:
        elector = Elector(lease_client, settings.namespace, LEASE_NAME, settings.identity)
        async with Kube(access, elector.write_budget_s, count) as kube:
            parts = assemble(settings, kube, cloud, elector, metrics)
            elector.on_lead = parts.controller.resync
            return await Process(settings, elector, parts, Sweeper(kube, parts.controller.queue)).run()


@dataclass(frozen=True)
class Parts:
    """What a process consists of, besides its surroundings."""

    controller: Controller
    azure: AzureCalls
    stores: ClaimStores


def assemble(settings: Settings, kube: Kube, cloud: Cloud, elector: Elector, metrics: Metrics) -> Parts:
    """Put the parts together; nothing runs yet."""
    queue: WorkQueue[ClaimKey] = WorkQueue()
    stores = ClaimStores()
    pools = Pools(settings.azure.identity)
    now: Callable[[], datetime] = partial(datetime.now, UTC)
    azure = AzureCalls(
        cloud=cloud,
        pools=pools,
        operations=Operations(wake=queue.add, moving=pools.moving),
        troubles=Troubles(settings.retry_s, spread=partial(random.uniform, 1.0, 4.0)),
        metrics=metrics,
        may_write=lambda: elector.write_budget_s() > 0,
        list_soon=partial(queue.add, POOLS),
    )
    reconciler = Reconciler(
        stores=stores,
        azure=azure,
        performer=Performer(kube, azure, stores, now),
        context=lambda: Context(settings.azure.identity, settings.budgets, now()),
        metrics=metrics,
        wake=queue.add,
        wake_after=queue.add_after,
        poll_s=settings.poll_s,
    )
    controller = Controller(
        queue=queue,
        reconciler=reconciler,
        collector=Collector(stores, azure, reconciler, metrics, settings.collect_dry_run),
        collect_s=settings.collect_s,
        leading=elector.leading,
        synced=asyncio.Event(),
        metrics=metrics,
        heartbeat=Heartbeat(),
    )
    return Parts(controller, azure, stores)


class Process:
    """The tasks of the process, in the order in which they start; kopf last, see the operator's `app`."""

    def __init__(self, settings: Settings, elector: Elector, parts: Parts, sweeper: Sweeper) -> None:
        self._settings = settings
        self._elector = elector
        self._parts = parts
        self._sweeper = sweeper
        controller = parts.controller
        self._watch = ClaimWatch(parts.stores, controller.queue, controller.synced, sweeper.relisted)
        self._watching = asyncio.Event()

    async def run(self) -> int:
        """See `run` of this module."""
        controller = self._parts.controller
        probes = Probes(
            self._parts.stores,
            controller.queue,
            self._parts.azure,
            self._elector,
            controller.synced,
            controller.metrics,
            controller.heartbeat,
        )
        server = await probes.start(self._settings.http_port)
        tasks = [
            asyncio.create_task(self._elector.run(), name="elector"),
            asyncio.create_task(controller.heartbeat.run(), name="heartbeat"),
            asyncio.create_task(self._sweeper.run(self._watch), name="sweeper"),
            asyncio.create_task(self._until_stopped(), name="signals"),
            *(asyncio.create_task(controller.work()) for _ in range(self._settings.workers)),
        ]
        tasks.append(asyncio.create_task(self._run_kopf(), name="kopf"))
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        code = self._verdict(done)
        await self._shut_down(tasks)
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
        """Return on SIGTERM or SIGINT, in place of kopf's handlers, which would wait for its watches."""
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
        stopped = "signals" in names or ("kopf" in names and not self._watching.is_set())
        logger.info("stopping", extra={"parts": names})
        return 0 if stopped else 1

    async def _shut_down(self, tasks: list[asyncio.Task[None]]) -> None:
        await self._parts.controller.drain(DRAIN_S)
        # The elector first: its next renewal would take back what is given back.
        await _cancel([task for task in tasks if task.get_name() == "elector"])
        await self._elector.release()
        await _cancel(tasks)


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=CANCEL_S)
