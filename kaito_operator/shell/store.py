"""The latest state of every watched object, in memory: what reconciles read instead of the API server.

Objects are trimmed of what no decision needs, and count as changed only when what remains differs, so
kubelet heartbeats and the echoes of our own writes wake nobody.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Obj = dict[str, Any]
Trim = Callable[[Obj], Obj]
NamespacedName = tuple[str, str]

_NOT_COMPARED = ("resourceVersion",)


def trim_metadata(obj: Obj) -> Obj:
    """Drop who wrote which field: half of an object's size, and nothing decides on it."""
    metadata = {k: v for k, v in obj["metadata"].items() if k != "managedFields"}
    return {**obj, "metadata": metadata}


def trim_node(obj: Obj) -> Obj:
    """Keep what placement reads: labels, taints, cordon, allocatable, the Ready condition, the runtime."""
    status = obj.get("status", {})
    conditions = [
        {k: c.get(k) for k in ("type", "status", "reason", "message", "lastTransitionTime")}
        for c in status.get("conditions", ())
        if c.get("type") == "Ready"
    ]
    metadata = obj["metadata"]
    spec = obj.get("spec", {})
    return {
        "metadata": {
            k: metadata[k]
            for k in ("name", "uid", "resourceVersion", "labels", "deletionTimestamp")
            if k in metadata
        },
        "spec": {k: spec[k] for k in ("taints", "unschedulable") if k in spec},
        "status": {
            "allocatable": status.get("allocatable", {}),
            "conditions": conditions,
            "nodeInfo": {"containerRuntimeVersion": _runtime_version(status)},
        },
    }


def _runtime_version(status: Mapping[str, Any]) -> str:
    return str(status.get("nodeInfo", {}).get("containerRuntimeVersion", ""))


def trim_pod(obj: Obj) -> Obj:
    """Keep a pod's identity, owners, conditions and container states; drop its containers' definitions."""
    metadata = obj["metadata"]
    spec = obj.get("spec", {})
    kept = ("name", "namespace", "uid", "resourceVersion", "labels", "annotations", "ownerReferences")
    times = ("creationTimestamp", "deletionTimestamp")
    return {
        "metadata": {k: metadata[k] for k in (*kept, *times) if k in metadata},
        "spec": {k: spec[k] for k in ("nodeName",) if k in spec},
        "status": obj.get("status", {}),
    }


@dataclass
class Store:
    """Objects of one kind by namespace and name.

    Attributes:
        name: for logs and metrics.
        trim: what to keep of an object.
        last_event_at: monotonic seconds of the latest watch event, for the staleness metric.
    """

    name: str
    trim: Trim = trim_metadata
    last_event_at: float = 0.0
    _objects: dict[NamespacedName, Obj] = field(default_factory=dict)
    _heard_at: dict[NamespacedName, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._objects)

    def get(self, namespace: str, name: str) -> Obj | None:
        """The object, or None. Treat it as frozen."""
        return self._objects.get((namespace, name))

    def values(self) -> Iterator[Obj]:
        """All objects. Treat them as frozen."""
        return iter(list(self._objects.values()))

    def names(self) -> list[NamespacedName]:
        """(namespace, name) of all objects; the namespace of cluster-scoped ones is empty."""
        return list(self._objects)

    def put(self, obj: Obj, *, at: float = 0.0) -> tuple[Obj | None, bool]:
        """Take in an object.

        Args:
            obj: as the API server gave it.
            at: monotonic seconds now.

        Returns:
            The object that was there, and whether anything that matters changed. An older state than the
            one held (a late watch event after the answer to a write) is ignored.
        """
        key = key_of(obj)
        new = self.trim(obj)
        old = self._objects.get(key)
        self._heard_at[key] = at
        if old is not None and _is_older(new, old):
            return old, False
        self._objects[key] = new
        return old, old is None or _comparable(old) != _comparable(new)

    def delete(self, metadata: Mapping[str, Any]) -> Obj | None:
        """Forget the object with this uid; another object of the same name stays.

        Returns:
            What was forgotten.
        """
        key = (metadata.get("namespace", ""), metadata["name"])
        old = self._objects.get(key)
        if old is None or old["metadata"].get("uid") != metadata.get("uid"):
            return None
        self._heard_at.pop(key, None)
        return self._objects.pop(key)

    def sweep(self, present_uids: set[str], *, before: float) -> list[Obj]:
        """Forget the objects that a complete listing lacks and that were last heard of before it began.

        Watches do not replay deletions that happened while they were disconnected for long.

        Returns:
            What was forgotten.
        """
        gone = [
            obj
            for key, obj in self._objects.items()
            if obj["metadata"].get("uid") not in present_uids and self._heard_at.get(key, 0.0) < before
        ]
        for obj in gone:
            self.delete(obj["metadata"])
        return gone


def key_of(obj: Mapping[str, Any]) -> NamespacedName:
    """(namespace, name) of an object."""
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def _is_older(new: Obj, old: Obj) -> bool:
    # Kubernetes promises comparable resourceVersions since 1.35 and has had integers in etcd always.
    if new["metadata"].get("uid") != old["metadata"].get("uid"):
        return False
    ours, theirs = (str(o["metadata"].get("resourceVersion", "")) for o in (new, old))
    return ours.isdecimal() and theirs.isdecimal() and int(ours) < int(theirs)


def _comparable(obj: Obj) -> Obj:
    metadata = {k: v for k, v in obj["metadata"].items() if k not in _NOT_COMPARED}
    return {**obj, "metadata": metadata}
