"""An API server in memory, as the provisioner calls it: the methods of Kube, and what they come to."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kaito_operator.kube.errors import ApiError, Conflict, NotFound
from tests.support.patches import as_merge_patch
from tests.support.world import merged
from tests.unit.provisioner.objects import Obj, at

if TYPE_CHECKING:
    from tests.unit.provisioner.world import World

_KINDS = {"machines": "Machine", "nodeclaims": "NodeClaim", "nodes": "Node", "pods": "Pod", "leases": "Lease"}


@dataclass
class Api:
    """The API server."""

    world: "World"
    objects: dict[tuple[str, str], Obj] = field(default_factory=dict)
    events: list[tuple[str, Obj]] = field(default_factory=list)
    writes: list[tuple[str, str]] = field(default_factory=list)
    failures: list[ApiError] = field(default_factory=list)
    version: int = 1

    # What the provisioner calls, as the methods of Kube.

    async def get(self, path: str, **_query: Any) -> Obj:
        self.world.gates.point()
        kind, name = self._parse(path)
        if not name:
            found = {"items": [copy.deepcopy(o) for (k, _), o in self.objects.items() if k == kind]}
        else:
            found = copy.deepcopy(self._found(kind, name))
        self.world.gates.point()
        return found

    async def merge(self, path: str, patch: Mapping[str, Any]) -> Obj:
        return self._write("PATCH", path, lambda kind, name: self.patch(kind, name, dict(patch)))

    async def strategic_merge(self, path: str, patch: Mapping[str, Any]) -> Obj:
        return self._write(
            "PATCH",
            path,
            lambda kind, name: self.patch(kind, name, as_merge_patch(patch, self._found(kind, name))),
        )

    async def merge_status(self, path: str, version: str, status: Mapping[str, Any]) -> Obj:
        patch = {"metadata": {"resourceVersion": version}, "status": dict(status)}
        return self._write("STATUS", path, lambda kind, name: self.patch(kind, name, patch))

    async def delete(self, path: str, uid: str) -> Obj:
        return self._write("DELETE", path, lambda kind, name: self.remove(kind, name, uid))

    async def create(self, path: str, obj: Mapping[str, Any]) -> Obj:
        assert path.endswith("/eviction"), path
        name = path.split("/")[-2]
        return self._write("EVICT", "/api/v1/pods/" + name, lambda kind, _: self.remove(kind, name))

    def _write(self, verb: str, path: str, effect: Callable[[str, str], Obj]) -> Obj:
        self.world.gates.point()
        kind, name = self._parse(path)
        if self.failures:
            raise self.failures.pop(0)
        answer = effect(kind, name)
        self.writes.append((verb, f"{kind}/{name}"))
        self.world.gates.point()
        return copy.deepcopy(answer)

    def _parse(self, path: str) -> tuple[str, str]:
        parts = path.strip("/").split("/")
        plural = next(part for part in parts if part in _KINDS)
        rest = parts[parts.index(plural) + 1 :]
        return _KINDS[plural], rest[0] if rest else ""

    def _found(self, kind: str, name: str) -> Obj:
        if (kind, name) not in self.objects:
            raise NotFound(404, f"{kind} {name} is not there")
        return self.objects[kind, name]

    # What the world does, and what the calls above come to.

    def add(self, obj: Obj) -> None:
        key = (obj["kind"], obj["metadata"]["name"])
        assert key not in self.objects, key
        self._store(copy.deepcopy(obj), "ADDED")

    def patch(self, kind: str, name: str, patch: Obj) -> Obj:
        old = self._found(kind, name)
        version = patch.get("metadata", {}).get("resourceVersion")
        if version is not None and version != old["metadata"]["resourceVersion"]:
            raise Conflict(409, f"{kind} {name} is not what it was")
        new = merged(old, patch)
        gone = "deletionTimestamp" in new["metadata"] and not new["metadata"].get("finalizers")
        return self._store(new, "DELETED" if gone else "MODIFIED")

    def remove(self, kind: str, name: str, uid: str | None = None) -> Obj:
        old = self._found(kind, name)
        if uid is not None and old["metadata"]["uid"] != uid:
            raise Conflict(409, "another one has the name")
        if not old["metadata"].get("finalizers"):
            return self._store(old, "DELETED")
        metadata = {**old["metadata"], "deletionTimestamp": at(self.world.now)}
        return (
            old
            if "deletionTimestamp" in old["metadata"]
            else self._store({**old, "metadata": metadata}, "MODIFIED")
        )

    def _store(self, obj: Obj, event: str) -> Obj:
        self.version += 1
        obj = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.version)}}
        key = (obj["kind"], obj["metadata"]["name"])
        self.objects[key] = obj
        self.events.append((event, copy.deepcopy(obj)))
        if event == "DELETED":
            del self.objects[key]
            self.world.claim_gone(obj)
        return obj
