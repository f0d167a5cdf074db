"""A Hugging Face compatible hub on this machine: one repository at one commit, from a folder.

It answers what the huggingface_hub library asks when it downloads a snapshot: the commit's files, their
ETags, and their bytes with ranges. With a token it is a gated repository.
"""

import asyncio
import hashlib
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class LocalHub:
    """Runs in a thread of its own.

    Args:
        folder: holds the repository's files.
        repository: ORG/NAME.
        revision: the only commit.
        host: address to listen on.
        token: what a client must show; None lets everybody read.
    """

    def __init__(
        self, folder: Path, repository: str, revision: str, *, host: str, token: str | None = None
    ) -> None:
        self.folder, self.repository, self.revision = folder, repository, revision
        self._host, self._token = host, token
        self.requests: list[str] = []
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._runner: web.AppRunner | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        port = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        self.url = f"http://{self._host}:{port}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner:
            asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self) -> int:
        app = web.Application(middlewares=[self._gate])
        app.router.add_get(f"/api/models/{self.repository}/revision/{{revision}}", self._info)
        app.router.add_get(f"/api/models/{self.repository}/tree/{{revision}}", self._tree)
        app.router.add_get(f"/{self.repository}/resolve/{{revision}}/{{file:.+}}", self._file)
        self._runner = web.AppRunner(app, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, 0).start()
        return int(self._runner.addresses[0][1])

    @web.middleware
    async def _gate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path}")
        if self._token and request.headers.get("Authorization") != f"Bearer {self._token}":
            return web.json_response(
                {"error": "Access to this repository is restricted"},
                status=401,
                headers={"X-Error-Code": "GatedRepo"},
            )
        return await handler(request)

    def _paths(self) -> list[Path]:
        return sorted(path for path in self.folder.rglob("*") if path.is_file())

    async def _info(self, request: web.Request) -> web.Response:
        if request.match_info["revision"] != self.revision:
            headers = {"X-Error-Code": "RevisionNotFound"}
            return web.json_response({"error": "no such revision"}, status=404, headers=headers)
        siblings = [
            {"rfilename": path.relative_to(self.folder).as_posix(), "size": path.stat().st_size}
            for path in self._paths()
        ]
        return web.json_response(
            {"id": self.repository, "modelId": self.repository, "sha": self.revision, "siblings": siblings}
        )

    async def _tree(self, _: web.Request) -> web.Response:
        return web.json_response(
            [
                {
                    "type": "file",
                    "path": path.relative_to(self.folder).as_posix(),
                    "size": path.stat().st_size,
                    "oid": _etag(path),
                }
                for path in self._paths()
            ]
        )

    async def _file(self, request: web.Request) -> web.StreamResponse:
        path = self.folder / request.match_info["file"]
        if not path.is_file():
            return web.json_response(
                {"error": "no such file"}, status=404, headers={"X-Error-Code": "EntryNotFound"}
            )
        return web.FileResponse(path, headers={"X-Repo-Commit": self.revision, "ETag": f'"{_etag(path)}"'})


def _etag(path: Path) -> str:
    return hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest()
