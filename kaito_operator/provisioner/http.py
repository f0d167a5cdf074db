"""/healthz, /readyz and /metrics of the provisioner, answered from memory."""

import asyncio
from collections import Counter
from time import monotonic

from typing_extensions import override

from kaito_operator.kube.leader import Elector
from kaito_operator.provisioner.azure_calls import AzureCalls
from kaito_operator.provisioner.claims import ClaimKey, read_claim
from kaito_operator.provisioner.stores import ClaimStores
from kaito_operator.shell.heartbeat import Heartbeat
from kaito_operator.shell.http import ProbeServer
from kaito_operator.shell.workqueue import WorkQueue


class Probes(ProbeServer):
    """The provisioner's."""

    def __init__(
        self,
        stores: ClaimStores,
        queue: WorkQueue[ClaimKey],
        azure: AzureCalls,
        elector: Elector,
        synced: asyncio.Event,
        heartbeat: Heartbeat,
    ) -> None:
        super().__init__(synced, heartbeat, azure.metrics.registry)
        self._stores = stores
        self._queue = queue
        self._azure = azure
        self._elector = elector
        self._metrics = azure.metrics

    @override
    def not_ready(self) -> str:
        return "Azure does not accept the provisioner's identity" if self._azure.refused else ""

    @override
    def sample(self) -> None:
        metrics, now = self._metrics, monotonic()
        metrics.queue_depth.set(len(self._queue))
        metrics.leader.set(1 if self._elector.leading.is_set() else 0)
        metrics.loop_lag.set(self._heartbeat.lag_s)
        metrics.window.set(self._azure.operations.window)
        metrics.gate_seconds.set(self._azure.operations.gate_s)
        for store in self._stores.all():
            metrics.event_age.labels(store.name).set(now - store.last_event_at)
        metrics.pools.clear()
        for state, count in Counter(pool.state for pool in self._azure.pools.ours()).items():
            metrics.pools.labels(state).set(count)
        metrics.claims.clear()
        for (kind, state), count in Counter(self._states()).items():
            metrics.claims.labels(kind, state).set(count)

    def _states(self) -> list[tuple[str, str]]:
        claims = [read_claim(obj) for obj in self._stores.claims()]
        found = []
        for claim in claims:
            open_steps = (
                str(claim.condition(i).get("reason") or "New") for i in range(3) if not claim.is_done(i)
            )
            found.append((claim.kind, "Deleting" if claim.deleted else next(open_steps, "Ready")))
        return found
