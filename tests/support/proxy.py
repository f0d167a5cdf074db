"""A proxy in front of the API server that counts writes and can strike after any of them.

The operator talks plain http to it on loopback; it talks to the real API server with the kubeconfig's
identity. Renewals of the Lease are passed through and not counted.
"""

import asyncio
import base64
import ssl
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import yaml
from aiohttp import web

# The proxy has its own identity and connection to the API server.
_NOT_RELAYED = frozenset({"host", "content-length", "authorization", "accept-encoding", "connection"})


@dataclass(frozen=True)
class Write:
    """One write that reached the API server."""

    verb: str
    path: str
    status: int


class WriteProxy:
    """Runs in a thread of its own.

    Attributes:
        writes: what was written, in order.
        after_write: called with the number of writes so far, after the API server has done it and before
            the operator hears of it: the worst moment to die.
    """

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        self._cluster = config["clusters"][0]["cluster"]
        self._user = config["users"][0]["user"]
        self.kubeconfig = folder / "proxy.kubeconfig"
        self.writes: list[Write] = []
        self.after_write: Callable[[int], None] = lambda _count: None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        port = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        self.kubeconfig.write_text(yaml.safe_dump(_plain(port)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self) -> int:
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self._tls(), limit=0))
        app = web.Application(client_max_size=16 * 1024**2)
        app.router.add_route("*", "/{path:.*}", self._relay)
        self._runner = web.AppRunner(app, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        return int(self._runner.addresses[0][1])

    async def _stop(self) -> None:
        if self._session:
            await self._session.close()
        if self._runner:
            await self._runner.cleanup()
        relays = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in relays:
            task.cancel()
        await asyncio.gather(*relays, return_exceptions=True)

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=_decoded(self._cluster, "certificate-authority"))
        with tempfile.NamedTemporaryFile(suffix=".pem") as pem:
            pem.write((_decoded(self._user, "client-certificate") + "\n").encode())
            pem.write(_decoded(self._user, "client-key").encode())
            pem.flush()
            context.load_cert_chain(pem.name)
        return context

    async def _relay(self, request: web.Request) -> web.StreamResponse:
        assert self._session is not None
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _NOT_RELAYED}
        async with self._session.request(
            request.method,
            self._cluster["server"] + request.raw_path,
            data=await request.read() or None,
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=None),
        ) as upstream:
            self._note(request, upstream.status)
            response = web.StreamResponse(status=upstream.status)
            response.content_type = upstream.content_type
            await response.prepare(request)
            async for chunk in upstream.content.iter_any():
                await response.write(chunk)
            return response

    def _note(self, request: web.Request, status: int) -> None:
        if request.method == "GET" or "/leases" in request.path:
            return
        self.writes.append(Write(request.method, request.path, status))
        self.after_write(len(self.writes))


def _plain(port: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "proxy", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "proxy", "user": {"token": "unused"}}],
        "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
        "current-context": "proxy",
    }


def _decoded(entry: dict[str, Any], field: str) -> str:
    if data := entry.get(f"{field}-data"):
        return base64.b64decode(data).decode()
    return Path(entry[field]).read_text()
