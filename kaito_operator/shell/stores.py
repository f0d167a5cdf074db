"""The stores of all watched kinds, and the picture of one Workspace taken from them."""

from collections import defaultdict
from dataclasses import dataclass, field

from kaito_operator.api.labels import LABEL_WORKSPACE
from kaito_operator.reconcile.decision import PodRef
from kaito_operator.reconcile.observed import ClusterFacts, Observed, PodEvents, Refusal
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


def owner_key(obj: Obj | None) -> WorkspaceKey | None:
    """The Workspace that a labelled child belongs to, or None."""
    if obj is None:
        return None
    metadata = obj["metadata"]
    name = metadata.get("labels", {}).get(LABEL_WORKSPACE)
    return (metadata.get("namespace", ""), name) if name else None


def _identity(pod: Obj) -> tuple[WorkspaceKey | None, str]:
    return owner_key(pod), pod["metadata"].get("uid", "")


@dataclass
class Stores:
    """Everything the operator knows of the cluster."""

    workspaces: Store = field(default_factory=lambda: Store("workspaces"))
    deployments: Store = field(default_factory=lambda: Store("deployments"))
    services: Store = field(default_factory=lambda: Store("services"))
    pods: Store = field(default_factory=lambda: Store("pods", trim_pod))
    nodes: Store = field(default_factory=lambda: Store("nodes", trim_node))
    pod_events: dict[str, PodEvents] = field(default_factory=dict)
    refusals: dict[WorkspaceKey, dict[str, Refusal]] = field(default_factory=dict)
    spellings: dict[WorkspaceKey, dict[str, Obj]] = field(default_factory=dict)
    _pods_of: dict[WorkspaceKey, set[NamespacedName]] = field(default_factory=lambda: defaultdict(set))

    def all(self) -> tuple[Store, ...]:
        """The stores, for metrics and sweeps."""
        return (self.workspaces, self.deployments, self.services, self.pods, self.nodes)

    def child_store(self, kind: str) -> Store:
        """The store of a kind that we create."""
        return {"Deployment": self.deployments, "Service": self.services}[kind]

    def index_pod(self, old: Obj | None, pod: Obj) -> None:
        """Remember which Workspace a pod belongs to, in place of the one of its labels before."""
        if old is not None and _identity(old) != _identity(pod):
            self.forget_pod(old)
        if owner := owner_key(pod):
            self._pods_of[owner].add(key_of(pod))

    def forget_pod(self, pod: Obj) -> None:
        """A pod is gone, and with it what was listed of it."""
        self.pod_events.pop(pod["metadata"].get("uid", ""), None)
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
        return changed and old is not None and old.get("status") != obj.get("status")

    def remember_spelling(self, key: WorkspaceKey, kind: str, answer: Obj | None) -> None:
        """The answer to an apply that says the same in other words; None when the words are ours."""
        if answer is not None and self.workspaces.get(*key) is not None:
            self.spellings.setdefault(key, {})[kind] = trim_metadata(answer)
        else:
            self.spellings.get(key, {}).pop(kind, None)

    def known(self, kind: str, namespace: str, name: str) -> bool:
        """True when the store holds this child."""
        return self.child_store(kind).get(namespace, name) is not None

    def remember_refusal(self, key: WorkspaceKey, kind: str, refusal: Refusal | None) -> bool:
        """What became of the latest write of this kind; None when it was accepted. True when that is news."""
        old = self.refusals.get(key, {}).get(kind)
        if self.workspaces.get(*key) is None:
            return False  # deleted meanwhile: nobody would ever forget it again
        if refusal is not None:
            self.refusals.setdefault(key, {})[kind] = refusal
            return old is None or (old.applied_hash, old.message) != (refusal.applied_hash, refusal.message)
        if old is not None:
            del self.refusals[key][kind]
        return old is not None

    def remember_pod_events(self, pod: PodRef, events: PodEvents) -> None:
        """What was listed of a stuck pod, unless the pod went meanwhile."""
        held = self.pods.get(pod.namespace, pod.name)
        if held is not None and held["metadata"]["uid"] == pod.uid:
            self.pod_events[pod.uid] = events

    def workspaces_on_node(self, node: str) -> set[WorkspaceKey]:
        """The Workspaces with a pod on this node, and those with a pod on none yet."""
        owners = set()
        for pod in self.pods.values():
            owner = owner_key(pod)
            if owner and pod["spec"].get("nodeName", node) == node:
                owners.add(owner)
        return owners

    def observe(self, key: WorkspaceKey, facts: ClusterFacts) -> Observed:
        """The surroundings of one Workspace, from memory only."""
        namespace, name = key
        children = {
            kind: child
            for kind in ("Deployment", "Service")
            if (child := self.child_store(kind).get(namespace, name)) is not None
        }
        pods = tuple(
            pod
            for pod_key in sorted(self._pods_of.get(key, ()))
            if (pod := self.pods.get(*pod_key)) is not None
        )
        uids = [pod["metadata"]["uid"] for pod in pods]
        return Observed(
            cluster=facts,
            children=children,
            pods=pods,
            nodes=tuple(self.nodes.values()),
            pod_events={uid: self.pod_events[uid] for uid in uids if uid in self.pod_events},
            refusals=dict(self.refusals.get(key, {})),
            spellings=dict(self.spellings.get(key, {})),
        )
