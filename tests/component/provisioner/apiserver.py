"""An API server as small as the provisioner needs it: discovery, lists, watches, merge patches, finalizers.

In memory, over HTTP on loopback, in a thread of its own. It keeps what the real one keeps: resourceVersions
and their conflicts, the status subresource, finalizers, uid preconditions; and it counts every write.
"""

import asyncio
import contextlib
import json
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import yaml
from aiohttp import web

from tests.support.patches import as_merge_patch
from tests.support.world import merged

Json = dict[str, Any]
T = TypeVar("T")

KINDS = {
    ("", "v1"): {"nodes": ("Node", False), "pods": ("Pod", True), "namespaces": ("Namespace", False)},
    ("karpenter.sh", "v1alpha5"): {"machines": ("Machine", False)},
    ("karpenter.sh", "v1"): {"nodeclaims": ("NodeClaim", False)},
    ("coordination.k8s.io", "v1"): {"leases": ("Lease", True)},
    ("apiextensions.k8s.io", "v1"): {"customresourcedefinitions": ("CustomResourceDefinition", False)},
}
_QUIET = ("leases",)


class ApiServer:
    """A context manager.

    Attributes:
        objects: by collection path and name.
        writes: verb, plural and name of every write but those to leases.
    """

    def __init__(self, folder: Path) -> None:
        self.objects: dict[tuple[str, str], Json] = {}
        self.writes: list[tuple[str, str, str]] = []
        self.kubeconfig = folder / "kubeconfig"
        self._log: list[tuple[int, str, str, Json]] = []  # version, collection, event, object
        self._changed = asyncio.Condition()
        self._version = 1
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="apiserver")
        self._runner: web.AppRunner | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        port = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        self.kubeconfig.write_text(_kubeconfig(f"http://127.0.0.1:{port}"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    # For tests, from any thread.

    def create(self, obj: Json) -> Json:
        """Store an object."""
        return self._do(lambda: self._create(_collection_of(obj), obj))

    def find(self, plural: str, name: str) -> Json | None:
        """The object, or None."""
        return self._do(lambda: self.objects.get((_collection(plural), name)))

    def all(self, plural: str) -> list[Json]:
        """All objects of a cluster-scoped kind."""
        return self._do(
            lambda: [obj for (where, _), obj in self.objects.items() if where == _collection(plural)]
        )

    def patch(self, plural: str, name: str, patch: Json) -> Json:
        """Merge."""
        return self._do(lambda: self._patch(_collection(plural), name, patch))

    def delete(self, plural: str, name: str, namespace: str = "") -> None:
        """Delete, as kubectl does; fine when it is gone."""
        with contextlib.suppress(web.HTTPNotFound):
            self._do(lambda: self._delete(_collection(plural, namespace), name, None))

    def _do(self, what: Callable[[], T]) -> T:
        async def run() -> T:
            answer = what()
            async with self._changed:
                self._changed.notify_all()
            return answer

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(30)

    # The server.

    async def _start(self) -> int:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return int(self._runner.addresses[0][1])

    async def _stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if discovered := _discovery(request.path):
            return web.json_response(discovered)
        collection, name, sub = _parse(request.path)
        if request.method == "GET" and not name:
            if request.query.get("watch") == "true":
                response = web.StreamResponse(headers={"Content-Type": "application/json"})
                with contextlib.suppress(ConnectionResetError):  # who watched is gone
                    await self._watch(request, collection, response)
                return response
            return web.json_response(self._list(request, collection))
        body = await request.json() if request.can_read_body else {}
        try:
            answer = self._one(request.method, collection, name, sub, body)
        except web.HTTPException as error:
            status = {"kind": "Status", "message": error.text, "code": error.status}
            return web.json_response(status, status=error.status)
        if request.method != "GET" and not collection.endswith(_QUIET):
            plural = collection.rsplit("/", 1)[-1]
            self.writes.append((f"{request.method}{'/' + sub if sub else ''}", plural, name))
        async with self._changed:
            self._changed.notify_all()
        return web.json_response(answer, status=201 if request.method == "POST" else 200)

    def _one(self, verb: str, collection: str, name: str, sub: str, body: Json) -> Json:
        match verb:
            case "GET":
                return self._found(collection, name)
            case "POST" if sub == "eviction":
                return self._delete(collection, name, None)
            case "POST":
                return self._create(collection, body)
            case "PUT":
                return self._patch(collection, name, body)
            case "PATCH":
                kept = {
                    k: v for k, v in body.items() if (k == "status") == (sub == "status") or k == "metadata"
                }
                return self._patch(collection, name, as_merge_patch(kept, self._found(collection, name)))
            case "DELETE":
                return self._delete(collection, name, (body.get("preconditions") or {}).get("uid"))
        raise web.HTTPMethodNotAllowed(verb, [])

    def _found(self, collection: str, name: str) -> Json:
        if (collection, name) not in self.objects:
            raise web.HTTPNotFound(text=f"{collection}/{name} not found")
        return self.objects[collection, name]

    def _create(self, collection: str, obj: Json) -> Json:
        name = obj["metadata"]["name"]
        if (collection, name) in self.objects:
            raise web.HTTPConflict(text=f"{name} already exists")
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        defaults = {"uid": str(uuid.uuid4()), "creationTimestamp": now, "generation": 1}
        metadata = {**obj["metadata"], **defaults}
        return self._store(collection, {**obj, "metadata": metadata}, "ADDED")

    def _patch(self, collection: str, name: str, patch: Json) -> Json:
        old = self._found(collection, name)
        version = (patch.get("metadata") or {}).get("resourceVersion")
        if version and version != old["metadata"]["resourceVersion"]:
            raise web.HTTPConflict(text=f"{name} has been modified")
        new = merged(old, patch)
        gone = "deletionTimestamp" in new["metadata"] and not new["metadata"].get("finalizers")
        return self._store(collection, new, "DELETED" if gone else "MODIFIED")

    def _delete(self, collection: str, name: str, uid: str | None) -> Json:
        old = self._found(collection, name)
        if uid and uid != old["metadata"]["uid"]:
            raise web.HTTPConflict(text="the uid is another")
        if not old["metadata"].get("finalizers"):
            return self._store(collection, old, "DELETED")
        if "deletionTimestamp" in old["metadata"]:
            return old
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return self._store(collection, merged(old, {"metadata": {"deletionTimestamp": now}}), "MODIFIED")

    def _store(self, collection: str, obj: Json, event: str) -> Json:
        self._version += 1
        obj = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self._version)}}
        key = (collection, obj["metadata"]["name"])
        self.objects[key] = obj
        if event == "DELETED":
            del self.objects[key]
        self._log.append((self._version, collection, event, obj))
        return obj

    def _list(self, request: web.Request, collection: str) -> Json:
        items = [obj for (where, _), obj in self.objects.items() if where == collection]
        selector = request.query.get("fieldSelector", "")
        if selector.startswith("spec.nodeName="):
            node = selector.partition("=")[2]
            everywhere = (o for (w, _), o in self.objects.items() if w.endswith("/pods"))
            items = [obj for obj in everywhere if obj.get("spec", {}).get("nodeName") == node]
        return {"kind": "List", "metadata": {"resourceVersion": str(self._version)}, "items": items}

    async def _watch(self, request: web.Request, collection: str, response: web.StreamResponse) -> None:
        await response.prepare(request)
        seen = int(request.query.get("resourceVersion") or self._version)
        while True:
            for version, where, event, obj in [entry for entry in self._log if entry[0] > seen]:
                seen = version
                if where == collection:
                    line = json.dumps({"type": event, "object": obj}) + "\n"
                    await response.write(line.encode())
            async with self._changed:
                if self._version <= seen:
                    await self._changed.wait()


def _collection(plural: str, namespace: str = "") -> str:
    inside = f"/namespaces/{namespace}" if namespace else ""
    for (group, version), kinds in KINDS.items():
        if plural in kinds:
            return f"{_root(group, version)}{inside}/{plural}"
    raise KeyError(plural)


def _collection_of(obj: Json) -> str:
    group, _, version = obj["apiVersion"].rpartition("/")
    kinds = KINDS[group, version]
    plural, namespaced = next((p, ns) for p, (kind, ns) in kinds.items() if kind == obj["kind"])
    namespace = f"/namespaces/{obj['metadata']['namespace']}" if namespaced else ""
    return f"{_root(group, version)}{namespace}/{plural}"


def _root(group: str, version: str) -> str:
    return f"/apis/{group}/{version}" if group else f"/api/{version}"


def _parse(path: str) -> tuple[str, str, str]:
    """Collection, name and subresource of a path."""
    parts = path.strip("/").split("/")
    at = 2 if parts[0] == "api" else 3
    if parts[at : at + 1] == ["namespaces"] and len(parts) > at + 2:
        at += 2
    rest = [*parts[at + 1 :], "", ""]
    return "/" + "/".join(parts[: at + 1]), rest[0], rest[1]


def _discovery(path: str) -> Json | None:
    path = path.rstrip("/")
    if path == "/version":
        return {"major": "1", "minor": "36"}
    if path == "/api":
        return {"versions": ["v1"]}
    if path == "/apis":
        groups: dict[str, list[str]] = {}
        for group, version in KINDS:
            if group:
                groups.setdefault(group, []).append(version)
        return {"groups": [_group(group, versions) for group, versions in groups.items()]}
    for (group, version), kinds in KINDS.items():
        if path == _root(group, version):
            verbs = ["get", "list", "watch", "patch", "create", "delete"]
            resources = [
                {"name": plural, "singularName": kind.lower(), "kind": kind, "namespaced": ns, "verbs": verbs}
                for plural, (kind, ns) in kinds.items()
            ]
            return {"groupVersion": f"{group}/{version}".lstrip("/"), "resources": resources}
    return None


def _group(group: str, versions: list[str]) -> Json:
    entries = [{"version": version, "groupVersion": f"{group}/{version}"} for version in versions]
    return {"name": group, "versions": entries, "preferredVersion": entries[0]}


def _kubeconfig(server: str) -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": server}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
    )
