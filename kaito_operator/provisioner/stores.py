"""Claims and nodes in memory, and who belongs to whom: claim to pool by name, node to pool by label."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from kaito_operator.api.machine import MACHINE_KIND, NODE_CLAIM_KIND
from kaito_operator.provisioner import names
from kaito_operator.provisioner.claims import ClaimKey, is_managed
from kaito_operator.provisioner.nodes import Node, read_node
from kaito_operator.provisioner.pool import name_for
from kaito_operator.shell.store import Obj, Store, trim_metadata

NODE_KIND = "Node"
T = TypeVar("T")

_NODE_METADATA = (
    "name",
    "uid",
    "resourceVersion",
    "labels",
    "annotations",
    "finalizers",
    "ownerReferences",
    "creationTimestamp",
    "deletionTimestamp",
)


def trim_node(obj: Obj) -> Obj:
    """Keep what a claim needs of its node; heartbeats of the kubelet leave it unchanged."""
    metadata, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    ready = [
        {k: c.get(k) for k in ("type", "status", "reason", "message", "lastTransitionTime")}
        for c in status.get("conditions") or ()
        if c.get("type") == "Ready"
    ]
    return {
        "apiVersion": "v1",
        "kind": NODE_KIND,
        "metadata": {k: metadata[k] for k in _NODE_METADATA if k in metadata},
        "spec": {k: spec[k] for k in ("providerID", "taints") if k in spec},
        "status": {
            "conditions": ready,
            "capacity": status.get("capacity") or {},
            "allocatable": status.get("allocatable") or {},
        },
    }


def pool_of_node(obj: Obj) -> str:
    """Name of the agent pool that a Node says it is of; empty for a node of another kind."""
    labels = obj["metadata"].get("labels") or {}
    return str(labels.get(names.LABEL_AKS_AGENT_POOL) or labels.get(names.LABEL_AGENT_POOL) or "")


def pool_of_claim(obj: Obj) -> str:
    """Name of the pool that a claim has or will have."""
    return name_for(obj["metadata"]["name"], obj["metadata"].get("uid", ""))


@dataclass
class ClaimStores:
    """Everything the provisioner knows of the cluster."""

    machines: Store = field(default_factory=lambda: Store("machines", trim_metadata))
    node_claims: Store = field(default_factory=lambda: Store("nodeclaims", trim_metadata))
    nodes: Store = field(default_factory=lambda: Store("nodes", trim_node))
    _claims_of: dict[str, set[ClaimKey]] = field(default_factory=lambda: defaultdict(set))
    _nodes_of: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def all(self) -> tuple[Store, ...]:
        """The stores, for metrics and sweeps."""
        return (self.machines, self.node_claims, self.nodes)

    def of(self, kind: str) -> Store:
        """The store of a kind."""
        return {MACHINE_KIND: self.machines, NODE_CLAIM_KIND: self.node_claims, NODE_KIND: self.nodes}[kind]

    def claim(self, key: ClaimKey) -> Obj | None:
        """A claim that we serve, or None."""
        obj = self.of(key[0]).get("", key[1])
        return obj if obj is not None and is_managed(obj) else None

    def claims(self) -> Iterator[Obj]:
        """All claims that we serve."""
        return (
            obj for store in (self.machines, self.node_claims) for obj in store.values() if is_managed(obj)
        )

    def claims_of(self, pool: str) -> set[ClaimKey]:
        """The claims whose pool has this name: one, unless a Machine and a NodeClaim share it."""
        return set(self._claims_of.get(pool, ()))

    def nodes_of(self, pool: str) -> tuple[Node, ...]:
        """The Nodes of a pool."""
        found = (self.nodes.get("", name) for name in sorted(self._nodes_of.get(pool, ())))
        return tuple(read_node(obj) for obj in found if obj is not None)

    def remember(self, obj: Obj) -> None:
        """Take in the answer to one of our writes, so that the next decision reads it."""
        store = self.of(obj["kind"])
        old, changed = store.put(obj)
        held = store.get("", obj["metadata"]["name"])
        if changed and held is not None:
            self.index(old, held)

    def lost(self, kind: str, name: str) -> None:
        """The API server says that this object does not exist."""
        gone = self.of(kind).get("", name)
        if gone is not None:
            self.of(kind).delete(gone["metadata"])
            self.unindex(gone)

    def index(self, old: Obj | None, obj: Obj) -> None:
        """Remember whose an object is, in place of whose it was."""
        if old is not None:
            self.unindex(old)
        name = obj["metadata"]["name"]
        if obj["kind"] == NODE_KIND:
            if pool := pool_of_node(obj):
                self._nodes_of[pool].add(name)
        elif is_managed(obj):
            self._claims_of[pool_of_claim(obj)].add((obj["kind"], name))

    def unindex(self, obj: Obj) -> None:
        """An object has gone, or no longer is what it was."""
        name = obj["metadata"]["name"]
        if obj["kind"] == NODE_KIND:
            _discard(self._nodes_of, pool_of_node(obj), name)
        else:
            _discard(self._claims_of, pool_of_claim(obj), (obj["kind"], name))

    def keys_of(self, obj: Obj | None) -> set[ClaimKey]:
        """Whom a change of this object concerns: the claim itself, or those of a Node's pool, or the Node."""
        if obj is None:
            return set()
        if obj["kind"] != NODE_KIND:
            return {(obj["kind"], obj["metadata"]["name"])}
        pool = pool_of_node(obj)
        if not pool:
            return set()
        marked = names.LABEL_CLAIM_UID in (obj["metadata"].get("labels") or {})
        return self.claims_of(pool) or ({(NODE_KIND, obj["metadata"]["name"])} if marked else set())


def _discard(index: dict[str, set[T]], key: str, value: T) -> None:
    index.get(key, set()).discard(value)
    if not index.get(key):
        index.pop(key, None)
