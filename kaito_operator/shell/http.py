"""/healthz, /readyz and /metrics of the operator."""

import asyncio
from collections import Counter
from time import monotonic

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from kaito_operator.kube.leader import Elector
from kaito_operator.shell.heartbeat import Heartbeat
from kaito_operator.shell.metrics import Metrics
from kaito_operator.shell.stores import Stores, WorkspaceKey
from kaito_operator.shell.workqueue import WorkQueue


class Probes:
    """Answers for the kubelet and for Prometheus, from memory only."""

    def __init__(
        self,
        stores: Stores,
        queue: WorkQueue[WorkspaceKey],
        elector: Elector,
        synced: asyncio.Event,
        metrics: Metrics,
        heartbeat: Heartbeat,
    ) -> None:
        self._stores = stores
        self._queue = queue
        self._elector = elector
        self._synced = synced
        self._metrics = metrics
        self._heartbeat = heartbeat

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
        if not self._synced.is_set():
            return web.Response(status=503, text="waiting for the first list of all kinds")
        return web.Response(text="ok")

    async def _serve_metrics(self, _: web.Request) -> web.Response:
        self._sample()
        body = generate_latest(self._metrics.registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    def _sample(self) -> None:
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
