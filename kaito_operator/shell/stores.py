"""The stores of all watched kinds, and the picture of one Workspace taken from them."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from kaito_operator.api.labels import LABEL_WORKSPACE, LABEL_WORKSPACE_NAMESPACE
from kaito_operator.api.machine import MACHINE_KIND, NODE_CLAIM_KIND
from kaito_operator.manifests.adapters import list_name
from kaito_operator.manifests.group import headless_name
from kaito_operator.manifests.ownership import child_key
from kaito_operator.reconcile.claim import read_claim
from kaito_operator.reconcile.decision import PodRef
from kaito_operator.reconcile.nodes import is_ready
from kaito_operator.reconcile.observed import AdapterReport, ClusterFacts, Observed, PodEvents, Refusal
from kaito_operator.shell.store import (
    NamespacedName,
    Obj,
    Store,
    key_of,
    trim_metadata,
    trim_node,
    trim_pod,
)

WorkspaceKey = NamespacedName

_VANISHED_KEPT = 1024
_MANY_LOST = 0.2


def owner_key(obj: Obj | None) -> WorkspaceKey | None:
    """The Workspace that a labelled child belongs to, or None."""
    if obj is None:
        return None
    metadata = obj["metadata"]
    name = metadata.get("labels", {}).get(LABEL_WORKSPACE)
    return (metadata.get("namespace", ""), name) if name else None


def claim_owner_key(obj: Obj | None) -> WorkspaceKey | None:
    """The Workspace that a claim, or its node, was made for; both are cluster-scoped and so name it whole."""
    if obj is None:
        return None
    labels = obj["metadata"].get("labels") or {}
    namespace, name = labels.get(LABEL_WORKSPACE_NAMESPACE), labels.get(LABEL_WORKSPACE)
    return (namespace, name) if namespace and name else None


def _identity(pod: Obj) -> tuple[WorkspaceKey | None, str]:
    return owner_key(pod), pod["metadata"].get("uid", "")


@dataclass
class Stores:
    """Everything the operator knows of the cluster."""

    workspaces: Store = field(default_factory=lambda: Store("workspaces"))
    deployments: Store = field(default_factory=lambda: Store("deployments"))
    statefulsets: Store = field(default_factory=lambda: Store("statefulsets"))
    machines: Store = field(default_factory=lambda: Store("machines"))
    nodeclaims: Store = field(default_factory=lambda: Store("nodeclaims"))
    configmaps: Store = field(default_factory=lambda: Store("configmaps"))
    services: Store = field(default_factory=lambda: Store("services"))
    pods: Store = field(default_factory=lambda: Store("pods", trim_pod))
    nodes: Store = field(default_factory=lambda: Store("nodes", trim_node))
    pod_events: dict[str, PodEvents] = field(default_factory=dict)
    adapter_reports: dict[str, AdapterReport] = field(default_factory=dict)
    refusals: dict[WorkspaceKey, dict[str, Refusal]] = field(default_factory=dict)
    spellings: dict[WorkspaceKey, dict[str, Obj]] = field(default_factory=dict)
    vanished: dict[str, datetime] = field(default_factory=dict)
    _deleted_by_us: set[str] = field(default_factory=set)
    _claims_of: dict[WorkspaceKey, set[tuple[str, str]]] = field(default_factory=lambda: defaultdict(set))
    _pods_of: dict[WorkspaceKey, set[NamespacedName]] = field(default_factory=lambda: defaultdict(set))

    def all(self) -> tuple[Store, ...]:
        """The stores, for metrics and sweeps."""
        return (
            self.workspaces,
            self.deployments,
            self.statefulsets,
            self.services,
            self.configmaps,
            self.machines,
            self.nodeclaims,
            self.pods,
            self.nodes,
        )

    @property
    def claim_stores(self) -> tuple[Store, Store]:
        """Those of both kinds of claims."""
        return (self.machines, self.nodeclaims)

    def child_store(self, kind: str) -> Store:
        """The store of a kind that we create."""
        return {
            "Deployment": self.deployments,
            "StatefulSet": self.statefulsets,
            "Service": self.services,
            "ConfigMap": self.configmaps,
            MACHINE_KIND: self.machines,
            NODE_CLAIM_KIND: self.nodeclaims,
        }[kind]

    def index_claim(self, old: Obj | None, claim: Obj) -> None:
        """Remember which Workspace a claim was made for."""
        if (before := claim_owner_key(old)) is not None:
            self._claims_of[before].discard((claim["kind"], claim["metadata"]["name"]))
        if (owner := claim_owner_key(claim)) is not None:
            self._claims_of[owner].add((claim["kind"], claim["metadata"]["name"]))

    def forget_claim(self, claim: Obj, now: datetime) -> None:
        """A claim is gone. One that nobody here deleted is told as such to the next decision."""
        metadata = claim["metadata"]
        if (owner := claim_owner_key(claim)) is not None:
            self._claims_of[owner].discard((claim["kind"], metadata["name"]))
            if not self._claims_of[owner]:
                del self._claims_of[owner]
        if metadata["uid"] in self._deleted_by_us:
            self._deleted_by_us.discard(metadata["uid"])
            return
        self.vanished[metadata["name"]] = now
        if len(self.vanished) > _VANISHED_KEPT:
            del self.vanished[next(iter(self.vanished))]

    def claims_of(self, key: WorkspaceKey) -> tuple[Obj, ...]:
        """The claims that were made for a Workspace, by name."""
        found = (self.child_store(kind).get("", name) for kind, name in sorted(self._claims_of.get(key, ())))
        return tuple(claim for claim in found if claim is not None)

    def remember_deletion(self, uid: str, answer: Obj) -> None:
        """We deleted this object; the answer is what is left of it, or a mere Status."""
        if any(claim["metadata"]["uid"] == uid for store in self.claim_stores for claim in store.values()):
            self._deleted_by_us.add(uid)  # until it is gone
        if answer.get("kind") in (MACHINE_KIND, NODE_CLAIM_KIND):
            self.remember(answer)

    def index_pod(self, old: Obj | None, pod: Obj) -> None:
        """Remember which Workspace a pod belongs to, in place of the one of its labels before."""
        if old is not None and _identity(old) != _identity(pod):
            self.forget_pod(old)
        if owner := owner_key(pod):
            self._pods_of[owner].add(key_of(pod))

    def forget_pod(self, pod: Obj) -> None:
        """A pod is gone, and with it what was listed of it."""
        self.pod_events.pop(pod["metadata"].get("uid", ""), None)
        self.adapter_reports.pop(pod["metadata"].get("uid", ""), None)
        if owner := owner_key(pod):
            self._pods_of[owner].discard(key_of(pod))
            if not self._pods_of[owner]:
                del self._pods_of[owner]

    def forget_workspace(self, key: WorkspaceKey) -> None:
        """A Workspace is gone."""
        self.refusals.pop(key, None)
        self.spellings.pop(key, None)

    def remember(self, obj: Obj) -> bool:
        """Take in the answer to one of our writes, so that the next reconcile reads it.

        Returns:
            True when it holds a status that nobody has looked at: its watch event will be no news.
        """
        store = self.workspaces if obj["kind"] == "Workspace" else self.child_store(obj["kind"])
        old, changed = store.put(obj)
        if store in self.claim_stores:
            self.index_claim(old, obj)
        return changed and old is not None and old.get("status") != obj.get("status")

    def remember_spelling(self, key: WorkspaceKey, child: str, answer: Obj | None) -> None:
        """The answer to an apply that says the same in other words; None when the words are ours."""
        if answer is not None and self.workspaces.get(*key) is not None:
            self.spellings.setdefault(key, {})[child] = trim_metadata(answer)
        else:
            self.spellings.get(key, {}).pop(child, None)

    def known(self, kind: str, namespace: str, name: str) -> bool:
        """True when the store holds this child."""
        return self.child_store(kind).get(namespace, name) is not None

    def remember_refusal(self, key: WorkspaceKey, child: str, refusal: Refusal | None) -> bool:
        """What became of the latest write of this child; None when it was accepted. True when news."""
        old = self.refusals.get(key, {}).get(child)
        if self.workspaces.get(*key) is None:
            return False  # deleted meanwhile: nobody would ever forget it again
        if refusal is not None:
            self.refusals.setdefault(key, {})[child] = refusal
            return old is None or (old.applied_hash, old.message) != (refusal.applied_hash, refusal.message)
        if old is not None:
            del self.refusals[key][child]
        return old is not None

    def remember_pod_events(self, pod: PodRef, events: PodEvents) -> None:
        """What was listed of a stuck pod, unless the pod went meanwhile."""
        held = self.pods.get(pod.namespace, pod.name)
        if held is not None and held["metadata"]["uid"] == pod.uid:
            self.pod_events[pod.uid] = events

    def remember_report(self, pod: PodRef, report: AdapterReport) -> None:
        """What a server said of its adapters, unless its pod went meanwhile."""
        held = self.pods.get(pod.namespace, pod.name)
        if held is not None and held["metadata"]["uid"] == pod.uid:
            self.adapter_reports[pod.uid] = report

    def _many_nodes_lost(self, claims: tuple[Obj, ...]) -> bool:
        """True when more than a fifth of all claims' nodes are not ready: then the cause lies elsewhere.

        Looked at only where one of these claims has lost its node.
        """
        if not any(self._has_lost_node(claim) for claim in claims):
            return False
        every = [claim for store in self.claim_stores for claim in store.values()]
        lost = sum(self._has_lost_node(claim) for claim in every)
        return lost > 1 and lost > len(every) * _MANY_LOST

    def _has_lost_node(self, claim: Obj) -> bool:
        name = read_claim(claim).node
        node = self.nodes.get("", name) if name else None
        return bool(name) and (node is None or not is_ready(node))

    def workspaces_on_node(self, obj: Obj) -> set[WorkspaceKey]:
        """The Workspace that the node was added for, those with a pod on it, and those with a pod on none."""
        node = obj["metadata"]["name"]
        added_for = claim_owner_key(obj)
        owners = {added_for} if added_for else set()
        for pod in self.pods.values():
            owner = owner_key(pod)
            if owner and pod["spec"].get("nodeName", node) == node:
                owners.add(owner)
        return owners

    def observe(self, key: WorkspaceKey, facts: ClusterFacts) -> Observed:
        """The surroundings of one Workspace, from memory only."""
        namespace, name = key
        names = (
            ("Deployment", name),
            ("StatefulSet", name),
            ("Service", name),
            ("Service", headless_name(name)),
            ("ConfigMap", list_name(name)),
        )
        found = (self.child_store(kind).get(namespace, child) for kind, child in names)
        claims = self.claims_of(key)
        pods = tuple(
            pod
            for pod_key in sorted(self._pods_of.get(key, ()))
            if (pod := self.pods.get(*pod_key)) is not None
        )
        uids = [pod["metadata"]["uid"] for pod in pods]
        return Observed(
            cluster=facts,
            children={child_key(child, name): child for child in found if child is not None},
            claims=claims,
            vanished=self.vanished,
            many_nodes_lost=self._many_nodes_lost(claims),
            pods=pods,
            nodes=tuple(self.nodes.values()),
            pod_events={uid: self.pod_events[uid] for uid in uids if uid in self.pod_events},
            adapter_reports={uid: self.adapter_reports[uid] for uid in uids if uid in self.adapter_reports},
            refusals=dict(self.refusals.get(key, {})),
            spellings=dict(self.spellings.get(key, {})),
        )
