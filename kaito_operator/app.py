"""The operator process: everything is built here; `shell.process` starts and stops it."""

import asyncio
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from kaito_operator.kube.client import Kube
from kaito_operator.kube.events import EventRecorder
from kaito_operator.kube.execute import Executor
from kaito_operator.kube.leader import Elector
from kaito_operator.kube.login import credentials
from kaito_operator.reconcile.decide import Context
from kaito_operator.reconcile.observed import ClusterFacts
from kaito_operator.settings import SettingError, Settings
from kaito_operator.shell.controller import Controller
from kaito_operator.shell.heartbeat import Heartbeat
from kaito_operator.shell.http import Probes
from kaito_operator.shell.metrics import Metrics
from kaito_operator.shell.process import Process
from kaito_operator.shell.servers import Servers
from kaito_operator.shell.stores import Stores, WorkspaceKey
from kaito_operator.shell.sweep import Sweeper
from kaito_operator.shell.watch import Watch
from kaito_operator.shell.workqueue import WorkQueue
from presets.catalog import Catalog, CatalogError, load_catalog, parse_catalog

LEASE_NAME = "kaito-operator"
DRAIN_S = 5.0


async def run(settings: Settings) -> int:
    """Run until SIGTERM, or until a part fails.

    Returns:
        Exit code: 0 after SIGTERM, 1 when a part ended by itself.

    Raises:
        SettingError: the file of more presets cannot be used.
    """
    catalog = catalog_of(settings.extra_presets)
    access, metrics, heartbeat, stores = credentials(), Metrics(), Heartbeat(), Stores()
    queue: WorkQueue[WorkspaceKey] = WorkQueue()
    synced = asyncio.Event()

    def count(verb: str, _path: str, status: int) -> None:
        metrics.requests.labels(verb, str(status)).inc()

    async with Kube(access, observe=count) as lease_client:
        elector = Elector(lease_client, settings.namespace, LEASE_NAME, settings.identity)
        async with Kube(access, elector.write_budget_s, count) as kube, Servers(stores) as servers:
            facts = ClusterFacts(version=await _server_version(kube))
            controller = Controller(
                stores=stores,
                queue=queue,
                executor=Executor(kube, EventRecorder(kube), stores, partial(datetime.now, UTC)),
                facts=lambda: facts,
                context=partial(Context, catalog, settings.runtime),
                ask=servers.ask,
                leading=elector.leading,
                synced=synced,
                metrics=metrics,
                heartbeat=heartbeat,
            )
            elector.on_lead = controller.resync
            probes = Probes(stores, queue, elector, synced, metrics, heartbeat)
            sweeper = Sweeper(kube, queue)
            watch = Watch(stores, queue, synced, sweeper.relisted)
            workers, port = settings.workers, settings.http_port
            process = Process(elector, controller, sweeper, watch, workers, port, DRAIN_S)
            return await process.run(probes)


def catalog_of(extra: str) -> Catalog:
    """The shipped presets, and those of the installation's own file.

    Raises:
        SettingError: the file cannot be used.
    """
    shipped = load_catalog()
    if not extra:
        return shipped
    try:
        more = parse_catalog(Path(extra).read_text(encoding="utf-8"))
        return Catalog((*shipped.values(), *more.values()), shipped.instance_types)
    except (OSError, UnicodeDecodeError, CatalogError) as error:
        msg = (
            f"KAITO_EXTRA_PRESETS is {extra!r}: {error}; write rows as in presets/models.yaml, with new names"
        )
        raise SettingError(msg) from error


async def _server_version(kube: Kube) -> tuple[int, int]:
    answer = await kube.get("/version")
    digits = [
        int("".join(c for c in str(answer.get(k, "0")) if c.isdigit()) or 0) for k in ("major", "minor")
    ]
    return digits[0], digits[1]
