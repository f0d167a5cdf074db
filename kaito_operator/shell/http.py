"""/healthz, /readyz and /metrics, of any process that watches; and what the operator adds to them."""

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from time import monotonic

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from typing_extensions import override

from kaito_operator.kube.leader import Elector
from kaito_operator.shell.heartbeat import Heartbeat
from kaito_operator.shell.metrics import Metrics
from kaito_operator.shell.stores import Stores, WorkspaceKey
from kaito_operator.shell.workqueue import WorkQueue


class ProbeServer(ABC):
    """Answers for the kubelet and for Prometheus, from memory only."""

    def __init__(self, synced: asyncio.Event, heartbeat: Heartbeat, registry: CollectorRegistry) -> None:
        self._synced = synced
        self._heartbeat = heartbeat
        self._registry = registry

    @abstractmethod
    def sample(self) -> None:
        """Bring the gauges up to date."""

    def not_ready(self) -> str:
        """What keeps the process from working though it has seen the cluster; empty when nothing does."""
        return ""

    async def start(self, port: int) -> web.AppRunner:
        """Listen on all addresses of the pod."""
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._serve_metrics)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, port=port).start()
        return runner

    async def _healthz(self, _: web.Request) -> web.Response:
        trouble = self._heartbeat.trouble()
        return web.Response(status=500 if trouble else 200, text=trouble or "ok")

    async def _readyz(self, _: web.Request) -> web.Response:
        trouble = "" if self._synced.is_set() else "waiting for the first list of all kinds"
        trouble = trouble or self.not_ready()
        return web.Response(status=503 if trouble else 200, text=trouble or "ok")

    async def _serve_metrics(self, _: web.Request) -> web.Response:
        self.sample()
        body = generate_latest(self._registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})


class Probes(ProbeServer):
    """The operator's."""

    def __init__(
        self,
        stores: Stores,
        queue: WorkQueue[WorkspaceKey],
        elector: Elector,
        synced: asyncio.Event,
        metrics: Metrics,
        heartbeat: Heartbeat,
    ) -> None:
        super().__init__(synced, heartbeat, metrics.registry)
        self._stores = stores
        self._queue = queue
        self._elector = elector
        self._metrics = metrics

    @override
    def sample(self) -> None:
        metrics = self._metrics
        metrics.queue_depth.set(len(self._queue))
        metrics.leader.set(1 if self._elector.leading.is_set() else 0)
        metrics.loop_lag.set(self._heartbeat.lag_s)
        now = monotonic()
        for store in self._stores.all():
            metrics.objects.labels(store.name).set(len(store))
            metrics.event_age.labels(store.name).set(now - store.last_event_at)
        phases = Counter(w.get("status", {}).get("phase", "New") for w in self._stores.workspaces.values())
        metrics.workspaces.clear()
        for phase, count in phases.items():
            metrics.workspaces.labels(phase).set(count)
