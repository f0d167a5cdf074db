"""An API server as small as the node booters need it: nodes and leases, in memory."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml
from typing_extensions import override

Json = dict[str, Any]


class TinyKube:
    """Keeps objects by path, and every request."""

    def __init__(self, folder: Path) -> None:
        self.objects: dict[str, Json] = {}
        self.requests: list[tuple[str, str]] = []
        self.down = False
        kube = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                body = json.loads(self.rfile.read(length)) if length else None
                status, answer = kube.answer(self.command, self.path, body)
                content = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815 - names that http.server calls

            @override
            def log_message(self, format: str, *args: Any) -> None:
                """Stay quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(_kubeconfig(f"http://127.0.0.1:{self._server.server_port}"))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def named(self, plural: str) -> dict[str, Json]:
        """Objects of a kind by name."""
        marker = f"/{plural}/"
        return {path.rpartition(marker)[2]: item for path, item in self.objects.items() if marker in path}

    def answer(self, verb: str, path: str, body: Json | None) -> tuple[int, Json]:
        self.requests.append((verb, path))
        if self.down:
            return 500, {"message": "the database is away"}
        if verb == "POST" and body:
            path = f"{path}/{body['metadata']['name']}"
            if path in self.objects:
                return 409, {"reason": "AlreadyExists"}
            self.objects[path] = body
            return 201, body
        path = path.removesuffix("/status")
        if path not in self.objects:
            return 404, {"reason": "NotFound"}
        if verb == "DELETE":
            return 200, self.objects.pop(path)
        if verb == "PATCH" and body:
            for key, value in body.items():
                self.objects[path].setdefault(key, {}).update(value)
        return 200, self.objects[path]


def _kubeconfig(server: str) -> str:
    return yaml.safe_dump(
        {
            "clusters": [{"name": "c", "cluster": {"server": server}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
    )
