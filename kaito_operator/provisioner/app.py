"""The provisioner process: everything is built here; `shell.process` starts and stops it."""

import asyncio
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

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
from kaito_operator.shell.process import Process
from kaito_operator.shell.sweep import Sweeper
from kaito_operator.shell.workqueue import WorkQueue

LEASE_NAME = "kaito-gpu-provisioner"
DRAIN_S = 10.0


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
            controller = parts.controller
            sweeper = Sweeper(kube, controller.queue)
            watch = ClaimWatch(parts.stores, controller.queue, controller.synced, sweeper.relisted)
            process = Process(
                elector, controller, sweeper, watch, settings.workers, settings.http_port, DRAIN_S
            )
            return await process.run(
                Probes(
                    parts.stores,
                    controller.queue,
                    parts.azure,
                    elector,
                    controller.synced,
                    controller.heartbeat,
                )
            )


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
