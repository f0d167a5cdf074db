"""A small hub on loopback with the two API calls and the file downloads that a snapshot needs."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from tests.component.inference_server.process import wait_for

SHA = "1" * 40
NEXT_SHA = "2" * 40
TOKEN = "hub-token-for-tests"


@dataclass
class Hub:
    """Repositories, who may read them, and every file that was asked for."""

    repositories: dict[str, dict[str, bytes]]
    head: str = SHA
    gated: set[str] = field(default_factory=set)
    cut: set[str] = field(default_factory=set)  # files whose transfer breaks off half way
    downloads: list[str] = field(default_factory=list)
    requests: int = 0
    url: str = ""

    def app(self) -> FastAPI:
        app = FastAPI()
        app.middleware("http")(self._check)
        app.get("/api/models/{owner}/{name}/revision/{revision}")(self._model)
        app.get("/api/models/{owner}/{name}/tree/{revision}")(self._tree)
        files = "/{owner}/{name}/resolve/{revision}/{path:path}"
        app.api_route(files, methods=["GET", "HEAD"])(self._resolve)
        return app

    async def _check(self, request: Request, call_next: Any) -> Response:
        self.requests += 1
        gated = any(name in request.url.path for name in self.gated)
        if gated and request.headers.get("authorization") != f"Bearer {TOKEN}":
            return JSONResponse({"error": "gated"}, 401, headers={"X-Error-Code": "GatedRepo"})
        response: Response = await call_next(request)
        return response

    async def _model(self, owner: str, name: str, revision: str) -> Response:
        files = self.repositories.get(f"{owner}/{name}")
        if files is None:
            return JSONResponse({"error": "no"}, 404, headers={"X-Error-Code": "RepoNotFound"})
        if revision not in ("main", SHA, NEXT_SHA):
            return JSONResponse({"error": "no"}, 404, headers={"X-Error-Code": "RevisionNotFound"})
        siblings = [{"rfilename": path, "size": len(data)} for path, data in files.items()]
        return JSONResponse({"id": f"{owner}/{name}", "sha": self.head, "siblings": siblings})

    async def _tree(self, owner: str, name: str) -> Response:
        files = self.repositories[f"{owner}/{name}"]
        listed = [
            {"type": "file", "path": path, "size": len(data), "oid": _hash(data)}
            for path, data in files.items()
        ]
        return JSONResponse(listed)

    async def _resolve(self, request: Request, owner: str, name: str, path: str) -> Response:
        data = self.repositories[f"{owner}/{name}"][path]
        headers = {
            "ETag": f'"{_hash(data)}"',
            "X-Repo-Commit": self.head,
            "Content-Length": str(len(data)),
            "Accept-Ranges": "bytes",
        }
        if request.method == "HEAD":
            return Response(headers=headers)
        self.downloads.append(path)
        return StreamingResponse(_pieces(data, cut=path in self.cut), headers=headers)


def _pieces(data: bytes, *, cut: bool) -> Iterator[bytes]:
    if cut:
        yield data[: len(data) // 2]
        raise ConnectionError("the test cuts this transfer off")
    yield data


def _hash(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


@contextmanager
def running(hub: Hub) -> Iterator[Hub]:
    """Serve `hub` on a free port of loopback."""
    config = uvicorn.Config(hub.app(), host="127.0.0.1", port=0, log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_for(lambda: server.started, 10, "the hub listens")
        hub.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        yield hub
    finally:
        server.should_exit = True
        thread.join()
