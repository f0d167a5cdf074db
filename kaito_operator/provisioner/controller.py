"""The provisioner's workers: reconcile a claim, or collect what nobody wants any more."""

import contextlib
from dataclasses import dataclass

from typing_extensions import override

from kaito_operator.kube.errors import ApiError
from kaito_operator.provisioner.claims import ClaimKey
from kaito_operator.provisioner.cloud import CloudFault
from kaito_operator.provisioner.collector import Collector
from kaito_operator.provisioner.metrics import Metrics
from kaito_operator.provisioner.reconciler import COLLECT, POOLS, Reconciler
from kaito_operator.shell.workers import Workers


@dataclass(kw_only=True)
class Controller(Workers):
    """Reconciles claims.

    Attributes:
        collect_s: seconds between two collections.
    """

    reconciler: Reconciler
    collector: Collector
    collect_s: float
    metrics: Metrics

    timeout_s = 120.0
    passing = (ApiError, CloudFault, TimeoutError)
    passing_result = "put_off"

    @property
    @override
    def counted(self) -> Metrics:
        return self.metrics

    @override
    def resync(self) -> None:
        for obj in self.reconciler.stores.claims():
            self.queue.add((obj["kind"], obj["metadata"]["name"]), urgent=False)
        self.queue.add(POOLS)
        self.queue.add_after(COLLECT, self.collect_s)

    @override
    async def reconcile(self, key: ClaimKey) -> float | None:
        if key == COLLECT:
            with contextlib.suppress(CloudFault):  # told by a log line and the metric; no claim waits for it
                await self.collector.collect()
            return self.collect_s
        return await self.reconciler.reconcile(key)
