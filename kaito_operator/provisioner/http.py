"""/healthz, /readyz and /metrics of the provisioner, answered from memory."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from time import monotonic

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from kaito_operator.kube.leader import Elector
from kaito_operator.provisioner.azure_calls import AzureCalls
from kaito_operator.provisioner.claims import ClaimKey, read_claim
from kaito_operator.provisioner.metrics import Metrics
from kaito_operator.provisioner.stores import ClaimStores
from kaito_operator.shell.heartbeat import Heartbeat
from kaito_operator.shell.workqueue import WorkQueue


@dataclass
class Probes:
    """Answers for the kubelet and for Prometheus."""

    stores: ClaimStores
    queue: WorkQueue[ClaimKey]
    azure: AzureCalls
    elector: Elector
    synced: asyncio.Event
    metrics: Metrics
    heartbeat: Heartbeat

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
        trouble = self.heartbeat.trouble()
        return web.Response(status=500 if trouble else 200, text=trouble or "ok")

    async def _readyz(self, _: web.Request) -> web.Response:
        if not self.synced.is_set():
            return web.Response(status=503, text="waiting for the first list of all kinds")
        if self.azure.refused:
            return web.Response(status=503, text="Azure does not accept the provisioner's identity")
        return web.Response(text="ok")

    async def _serve_metrics(self, _: web.Request) -> web.Response:
        self._sample()
        body = generate_latest(self.metrics.registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    def _sample(self) -> None:
        metrics, now = self.metrics, monotonic()
        metrics.queue_depth.set(len(self.queue))
        metrics.leader.set(1 if self.elector.leading.is_set() else 0)
        metrics.loop_lag.set(self.heartbeat.lag_s)
        metrics.window.set(self.azure.operations.window)
        metrics.gate_seconds.set(self.azure.operations.gate_s)
        for store in self.stores.all():
            metrics.event_age.labels(store.name).set(now - store.last_event_at)
        metrics.pools.clear()
        for state, count in Counter(pool.state for pool in self.azure.pools.ours()).items():
            metrics.pools.labels(state).set(count)
        metrics.claims.clear()
        for (kind, state), count in Counter(self._states()).items():
            metrics.claims.labels(kind, state).set(count)

    def _states(self) -> list[tuple[str, str]]:
        claims = [read_claim(obj) for obj in self.stores.claims()]
        found = []
        for claim in claims:
            open_steps = (
                str(claim.condition(i).get("reason") or "New") for i in range(3) if not claim.is_done(i)
            )
            found.append((claim.kind, "Deleting" if claim.deleted else next(open_steps, "Ready")))
        return found
