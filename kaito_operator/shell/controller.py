"""The operator's workers: read the stores, decide, execute. No decision is taken here."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from typing_extensions import override

from kaito_operator.kube.execute import Executor
from kaito_operator.reconcile.decide import Context, decide
from kaito_operator.reconcile.decision import ServerAddress
from kaito_operator.reconcile.observed import ClusterFacts
from kaito_operator.shell.metrics import Metrics
from kaito_operator.shell.stores import Stores, WorkspaceKey
from kaito_operator.shell.workers import Workers


@dataclass(kw_only=True)
class Controller(Workers):
    """Reconciles Workspaces."""

    stores: Stores
    executor: Executor
    facts: Callable[[], ClusterFacts]
    context: Callable[[datetime], Context]
    ask: Callable[[tuple[ServerAddress, ...]], Awaitable[None]]
    metrics: Metrics

    @property
    @override
    def counted(self) -> Metrics:
        return self.metrics

    @override
    def resync(self) -> None:
        for key in self.stores.workspaces.names():
            self.queue.add(key, urgent=False)

    @override
    def again(self, key: WorkspaceKey, at_least_s: float = 0.0) -> float:
        self.metrics.retries.inc()
        return super().again(key, at_least_s)

    @override
    def fields(self, key: WorkspaceKey) -> dict[str, object]:
        return {"namespace": key[0], "workspace": key[1]}

    @override
    async def reconcile(self, key: WorkspaceKey) -> float | None:
        workspace = self.stores.workspaces.get(*key)
        if workspace is None:
            await self.executor.delete_orphans(key, self.stores.claims_of(key))
            return None
        observed = self.stores.observe(key, self.facts())
        decision = decide(workspace, observed, self.context(datetime.now(UTC)))
        learned = await self.executor.execute(workspace, decision)
        if decision.ask:
            await self.ask(decision.ask)
        if learned or decision.ask:
            return 0.0
        return decision.retry_after_s
