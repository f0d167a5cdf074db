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
# An answer is read within seconds of its write; more deletions than this do not come in between.
_DELETIONS_KEPT = 1024


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
    """Keep a pod's identity, owners, conditions, container states, and which containers are sidecars."""
    metadata = obj["metadata"]
    spec = obj.get("spec", {})
    kept = ("name", "namespace", "uid", "resourceVersion", "labels", "annotations", "ownerReferences")
    times = ("creationTimestamp", "deletionTimestamp")
    return {
        "metadata": {k: metadata[k] for k in (*kept, *times) if k in metadata},
        "spec": {k: spec[k] for k in ("nodeName",) if k in spec} | _sidecars(spec),
        "status": obj.get("status", {}),
    }


def _sidecars(spec: Mapping[str, Any]) -> Obj:
    """The init containers that do not end, since a pod's status does not tell which do."""
    kept = [
        {"name": c.get("name"), "restartPolicy": "Always"}
        for c in spec.get("initContainers", ())
        if c.get("restartPolicy") == "Always"
    ]
    return {"initContainers": kept} if kept else {}


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
    # uid -> version of the deletion, of the latest deletions only.
    _deleted: dict[str, int] = field(default_factory=dict)

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

    def put(self, obj: Obj) -> tuple[Obj | None, bool]:
        """Take in an object as the API server gave it.

        Returns:
            The object that was there, and whether anything that matters changed. An older state than the
            one held (a late watch event after the answer to a write) is ignored, and so is a state from
            before the object's deletion (the answer to a write, read after the watch told of its end).
        """
        key = key_of(obj)
        new = self.trim(obj)
        old = self._objects.get(key)
        if self._was_deleted_since(new) or (old is not None and _is_older(new, old)):
            return old, False
        self._objects[key] = new
        return old, old is None or _comparable(old) != _comparable(new)

    def delete(self, metadata: Mapping[str, Any]) -> Obj | None:
        """Forget the object with this uid; another object of the same name stays.

        Returns:
            What was forgotten.
        """
        key = (metadata.get("namespace", ""), metadata["name"])
        self._note_deletion(metadata)
        old = self._objects.get(key)
        if old is None or old["metadata"].get("uid") != metadata.get("uid"):
            return None
        return self._objects.pop(key)

    def sweep(self, present_uids: set[str], version: str) -> list[Obj]:
        """Forget the objects that a complete listing lacks, though it is as new as what is known of them.

        Watches do not replay deletions that happened while they were disconnected for long. A listing comes
        from a cache that may lag, so it says nothing of an object that it has not heard of yet.

        Args:
            present_uids: of the objects in the listing.
            version: resourceVersion of the listing.

        Returns:
            What was forgotten.
        """
        listed = _number(version)
        gone = [
            obj
            for obj in self._objects.values()
            if obj["metadata"].get("uid") not in present_uids and 0 <= _version(obj["metadata"]) <= listed
        ]
        for obj in gone:
            self.delete({**obj["metadata"], "resourceVersion": version})
        return gone

    def _note_deletion(self, metadata: Mapping[str, Any]) -> None:
        self._deleted[metadata.get("uid", "")] = _version(metadata)
        if len(self._deleted) > _DELETIONS_KEPT:
            del self._deleted[next(iter(self._deleted))]

    def _was_deleted_since(self, obj: Obj) -> bool:
        metadata = obj["metadata"]
        return 0 <= _version(metadata) <= self._deleted.get(metadata.get("uid", ""), -1)


def key_of(obj: Mapping[str, Any]) -> NamespacedName:
    """(namespace, name) of an object."""
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def _is_older(new: Obj, old: Obj) -> bool:
    # Kubernetes promises comparable resourceVersions since 1.35 and has had integers in etcd always.
    if new["metadata"].get("uid") != old["metadata"].get("uid"):
        return False
    return 0 <= _version(new["metadata"]) < _version(old["metadata"])


def _version(metadata: Mapping[str, Any]) -> int:
    """The resourceVersion as a number; -1 for one that is none."""
    return _number(str(metadata.get("resourceVersion", "")))


def _number(version: str) -> int:
    return int(version) if version.isdecimal() else -1


def _comparable(obj: Obj) -> Obj:
    metadata = {k: v for k, v in obj["metadata"].items() if k not in _NOT_COMPARED}
    return {**obj, "metadata": metadata}
