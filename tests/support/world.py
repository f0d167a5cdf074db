"""A cluster in memory, only as much of it as lets Decisions be carried out and decided on again."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from kaito_operator.reconcile.decide import Context, decide
from kaito_operator.reconcile.decision import Decision
from kaito_operator.reconcile.observed import ClusterFacts, Observed, PodEvents, Refusal
from kaito_operator.settings import RuntimeSettings
from presets.catalog import load_catalog
from tests.support.objects import NOW, Obj, a_node

RUNTIME = RuntimeSettings(runtime_image="reg/kaito-inference:1", project_registry="reg")


def merged(old: Any, patch: Any) -> Any:
    """JSON merge patch."""
    if not isinstance(patch, dict):
        return patch
    result = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


@dataclass
class World:
    """One Workspace and its surroundings."""

    workspace: Obj
    nodes: list[Obj] = field(default_factory=lambda: [a_node()])
    pods: list[Obj] = field(default_factory=list)
    children: dict[str, Obj] = field(default_factory=dict)
    refusals: dict[str, Refusal] = field(default_factory=dict)
    pod_events: dict[str, PodEvents] = field(default_factory=dict)
    version: tuple[int, int] = (1, 36)
    now: datetime = NOW
    runtime: RuntimeSettings = RUNTIME

    def decide(self) -> Decision:
        """What the operator would do now."""
        observed = Observed(
            cluster=ClusterFacts(self.version),
            children=self.children,
            pods=tuple(self.pods),
            nodes=tuple(self.nodes),
            pod_events=self.pod_events,
            refusals=self.refusals,
        )
        return decide(self.workspace, observed, Context(load_catalog(), self.runtime, self.now))

    def step(self) -> Decision:
        """Decide and do it."""
        decision = self.decide()
        for obj in decision.apply:
            self.children[obj["kind"]] = copy.deepcopy(dict(obj))
        if decision.status is not None:
            self.workspace = {
                **self.workspace,
                "status": merged(self.workspace.get("status"), decision.status),
            }
        if decision.finalizers is not None:
            metadata = {**self.workspace["metadata"], "finalizers": list(decision.finalizers)}
            self.workspace = {**self.workspace, "metadata": metadata}
        return decision

    def later(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)

    @property
    def template_hash(self) -> str:
        """Of the present pod template."""
        annotations = self.children["Deployment"]["spec"]["template"]["metadata"]["annotations"]
        return str(annotations["kaito.sh/template-hash"])

    @property
    def status(self) -> Obj:
        """What the Workspace says of itself."""
        return dict(self.workspace.get("status", {}))

    def condition(self, kind: str) -> tuple[str, str]:
        """(status, reason) of a condition; empty texts when it has none."""
        for entry in self.status.get("conditions", ()):
            if entry["type"] == kind:
                return entry["status"], entry["reason"]
        return "", ""

    def edit(self, change: Callable[[Obj], None]) -> None:
        """A user's change of the Workspace."""
        self.workspace = copy.deepcopy(self.workspace)
        change(self.workspace)
        self.workspace["metadata"]["generation"] += 1
