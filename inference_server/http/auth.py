"""API keys: files of a mounted Secret, one key each. Plain ASGI, before anything reads a body."""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Iterable
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from inference_server.errors import Unauthorized
from inference_server.http.errors import refused

_log = logging.getLogger(__name__)
# Everything else needs a key: a route that is added later is closed until somebody opens it here.
_OPEN = frozenset(
    {
        *("/", "/healthz", "/livez", "/metrics", "/adapters", "/ui"),
        *("/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json"),
    }
)
_LARGEST_KEY = 64 * 1024  # bytes

Signature = tuple[tuple[str, int, int], ...]


class ApiKeys:
    """The keys in a folder, read again when it changes. Only their digests are kept."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._signature: Signature | None = None
        self._digests: tuple[bytes, ...] = ()
        self.refresh()

    @property
    def count(self) -> int:
        """Return how many keys are accepted."""
        return len(self._digests)

    def accepts(self, given: str) -> bool:
        """Say whether `given` is one of the keys. Takes as long for a wrong key as for a right one."""
        digest = _digest(given.encode("utf-8", "replace"))
        matches = [hmac.compare_digest(digest, known) for known in self._digests]
        return any(matches)

    def refresh(self) -> None:
        """Read the files again if any of them is another one now. A Secret changes by one rename."""
        signature = _signature(self._folder)
        if signature == self._signature:
            return
        self._signature = signature
        self._digests = tuple(_read(self._folder / name for name, _, _ in signature))
        if self._digests:
            _log.info("API keys read", extra={"keys": len(self._digests)})
        else:
            _log.warning("no API key: every request is refused; put one into the Secret of apiKeysSecret")


class RequireApiKey:
    """Refuses what has no key. `keys` None: nobody needs one."""

    def __init__(self, app: ASGIApp, keys: ApiKeys) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection event of ASGI."""
        if scope["type"] != "http" or scope["path"] in _OPEN:
            await self._app(scope, receive, send)
            return
        self._keys.refresh()
        problem = self._problem(Headers(scope=scope))
        if problem:
            await refused(scope, Unauthorized(problem))(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _problem(self, headers: Headers) -> str:
        if not self._keys.count:
            return "this server has no API key yet, so it refuses every request; its operator has to add one"
        given = _given(headers)
        if not given:
            return "an API key is needed; send it as Authorization: Bearer KEY"
        if not self._keys.accepts(given):
            return "this API key is not known; ask the operator of this server for one"
        return ""


def _given(headers: Headers) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return (headers.get("api-key") or headers.get("x-api-key") or "").strip()


def _signature(folder: Path) -> Signature:
    """Return name, time and size of each file; files whose name begins with a dot are the kubelet's own."""
    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        stats = [(path.name, path.stat()) for path in paths if path.is_file()]
    except OSError:
        return ()
    return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats)


def _read(paths: Iterable[Path]) -> Iterable[bytes]:
    for path in paths:
        try:
            with path.open("rb") as file:
                key = file.read(_LARGEST_KEY).strip()
        except OSError as error:
            _log.warning("an API key cannot be read", extra={"file": path.name, "error": error.strerror})
            continue
        if key:
            yield _digest(key)


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
