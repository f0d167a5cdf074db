"""A cluster in memory, only as much of it as lets Decisions be carried out and decided on again."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from kaito_operator.manifests.ownership import child_key
from kaito_operator.reconcile.decide import Context, decide
from kaito_operator.reconcile.decision import Decision, ObjectRef
from kaito_operator.reconcile.observed import AdapterReport, ClusterFacts, Observed, PodEvents, Refusal
from kaito_operator.reconcile.provision import SETTLE_S
from kaito_operator.settings import RuntimeSettings
from presets.catalog import load_catalog
from tests.support.objects import DONE, NOW, Obj, a_node, a_workspace, claim_status

UNKNOWN_KIND = "the server could not find the requested resource"
RUNTIME = RuntimeSettings(runtime_image="reg/kaito-inference:1", project_registry="reg")
GPU_TYPE = "Standard_NC4as_T4_v3"
"""Of the catalog, with one GPU."""


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


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class World:
    """One Workspace and its surroundings."""

    workspace: Obj
    nodes: list[Obj] = field(default_factory=lambda: [a_node()])
    pods: list[Obj] = field(default_factory=list)
    children: dict[str, Obj] = field(default_factory=dict)
    refusals: dict[str, Refusal] = field(default_factory=dict)
    adapter_reports: dict[str, AdapterReport] = field(default_factory=dict)
    pod_events: dict[str, PodEvents] = field(default_factory=dict)
    claims: list[Obj] = field(default_factory=list)
    vanished: dict[str, datetime] = field(default_factory=dict)
    many_nodes_lost: bool = False
    refusing: str = ""
    deleted_by_us: set[str] = field(default_factory=set)
    made: int = 0
    version: tuple[int, int] = (1, 36)
    now: datetime = NOW
    runtime: RuntimeSettings = RUNTIME

    def decide(self) -> Decision:
        """What the operator would do now."""
        observed = Observed(
            cluster=ClusterFacts(self.version),
            children=self.children,
            claims=tuple(self.claims),
            vanished=self.vanished,
            many_nodes_lost=self.many_nodes_lost,
            pods=tuple(self.pods),
            nodes=tuple(self.nodes),
            pod_events=self.pod_events,
            refusals=self.refusals,
            adapter_reports=self.adapter_reports,
        )
        return decide(self.workspace, observed, Context(load_catalog(), self.runtime, self.now))

    def step(self, writes: int | None = None) -> Decision:
        """Decide and do it; or only so many of the writes, as an operator that is killed after them."""
        decision = self.decide()
        for write in self._writes(decision)[:writes]:
            write()
        return decision

    def writes(self) -> int:
        """How many writes the next step makes."""
        return len(self._writes(self.decide()))

    def _writes(self, decision: Decision) -> list[Callable[[], None]]:
        """In the order of the executor."""
        finalizers = () if decision.finalizers is None else (partial(self._finalize, decision.finalizers),)
        status = () if decision.status is None else (partial(self._tell, decision.status),)
        return [
            *finalizers,
            *(partial(self._create, obj) for obj in decision.create),
            *(partial(self._apply, obj) for obj in decision.apply),
            *status,
            *(partial(self._delete, ref) for ref in decision.delete),
        ]

    def _apply(self, obj: Mapping[str, Any]) -> None:
        self.children[child_key(obj, self.workspace["metadata"]["name"])] = copy.deepcopy(dict(obj))

    def _tell(self, status: Obj) -> None:
        self.workspace = {**self.workspace, "status": merged(self.workspace.get("status"), status)}

    def _finalize(self, finalizers: tuple[str, ...]) -> None:
        metadata = {**self.workspace["metadata"], "finalizers": list(finalizers)}
        self.workspace = {**self.workspace, "metadata": metadata}

    def _create(self, claim: Mapping[str, Any]) -> None:
        kind, name = claim["kind"], claim["metadata"]["name"]
        if not self.refusing:
            self.refusals.pop(kind, None)
            self.create(claim)
            return
        unknown = self.refusing == UNKNOWN_KIND
        self.refusals[kind] = Refusal(kind, name, self.refusing, name, self.now, unknown_kind=unknown)

    def create(self, claim: Mapping[str, Any]) -> None:
        """As the API server does; a name that exists is left alone."""
        if all(c["metadata"]["name"] != claim["metadata"]["name"] for c in self.claims):
            made = copy.deepcopy(dict(claim))
            self.made += 1
            made["metadata"] |= {"uid": f"uid-{self.made}", "creationTimestamp": _text(self.now)}
            self.claims.append(made)

    def _delete(self, ref: ObjectRef) -> None:
        self.deleted_by_us.add(ref.uid)
        self.delete(ref.name)

    def delete(self, name: str) -> None:
        """Mark a claim or a pod; its finalizer keeps it."""
        for obj in (*self.claims, *self.pods):
            if obj["metadata"]["name"] == name:
                obj["metadata"].setdefault("deletionTimestamp", _text(self.now))

    def gone(self, name: str) -> None:
        """Take a claim away; one that we did not delete is remembered as vanished."""
        uid = self.claim(name)["metadata"]["uid"]
        self.claims = [c for c in self.claims if c["metadata"]["name"] != name]
        if uid not in self.deleted_by_us:
            self.vanished[name] = self.now

    def restart(self) -> None:
        """The operator's memory is lost."""
        self.vanished, self.refusals, self.deleted_by_us = {}, {}, set()

    def claim(self, name: str) -> Obj:
        """One of the claims."""
        return next(c for c in self.claims if c["metadata"]["name"] == name)

    @property
    def names(self) -> list[str]:
        """Of the claims that are not on their way out."""
        return [c["metadata"]["name"] for c in self.claims if "deletionTimestamp" not in c["metadata"]]

    def say(self, name: str, reached: int, **more: Any) -> None:
        """Let the provisioner say how far a claim is."""
        claim = self.claim(name)
        since = (self.now - NOW).total_seconds()
        claim["status"] = claim_status(claim["kind"], reached, **{"since": since, **more})

    def join(self, name: str, *, gpus: int = 0) -> str:
        """Let the claim's node join and be ready. Returns its name."""
        node = f"node-{name}"
        labels = dict(self.claim(name)["metadata"]["labels"])
        made = a_node(node, labels=labels, allocatable={"nvidia.com/gpu": str(gpus)})
        made["status"]["conditions"][0]["lastTransitionTime"] = _text(self.now)
        self.nodes = [*(n for n in self.nodes if n["metadata"]["name"] != node), made]
        self.say(name, DONE, node=node)
        return node

    def lose(self, node: str) -> None:
        """Let a node stop answering, and its claim say so."""
        for found in self.nodes:
            if found["metadata"]["name"] == node:
                unknown = {"type": "Ready", "status": "Unknown", "lastTransitionTime": _text(self.now)}
                found["status"]["conditions"] = [unknown]
        for claim in self.claims:
            if claim.get("status", {}).get("nodeName") == node:
                self.say(claim["metadata"]["name"], DONE, node=node, broken=True, reason="NodeNotReady")

    def settle(self) -> int:
        """Step while time stands still, until there is nothing to do. Returns how many steps did something.

        Raises:
            AssertionError: there is no end to it, or a step wants to be looked at at once for no reason, or
                claims are made or deleted by a step that nobody would have asked for.
        """
        asked = True
        for steps in range(6):
            refused = dict(self.refusals)
            decision = self.step()
            assert asked or not (decision.create or decision.delete), "no event leads to this step"
            soon = decision.retry_after_s is not None and decision.retry_after_s <= SETTLE_S
            assert not soon or decision.status is not None, "it wants to be looked at at once for no reason"
            if not self._writes(decision):
                return steps
            asked = soon or bool(decision.delete) or refused.keys() != self.refusals.keys()
        raise AssertionError(self.decide())

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

    @property
    def records(self) -> list[Obj]:
        """The nodes that are asked for, as the status tells them."""
        return list(self.status.get("claims", ()))

    @property
    def blocked_on(self) -> str:
        """The reason that is told; an empty text when there is none."""
        return str(self.status.get("blockedOn", {}).get("reason", ""))


def with_nodes_added(
    *, count: int = 1, kind: str = "Machine", nodes: Sequence[Obj] = (), **more: Any
) -> World:
    """A Workspace for which nodes are added; `instance_type` None has it chosen, `labels` are the user's."""
    instance_type, labels = more.pop("instance_type", GPU_TYPE), more.pop("labels", {})
    resource: Obj = {"count": count}
    if instance_type:
        resource["instanceType"] = instance_type
    if labels:
        resource["labelSelector"] = {"matchLabels": labels}
    payload = {"inference": {"preset": {"name": "smollm2-135m-instruct"}}, "resource": resource, **more}
    runtime = replace(RUNTIME, provisioning="machine" if kind == "Machine" else "nodeclaim")
    return World(a_workspace(**payload), nodes=list(nodes), runtime=runtime)
