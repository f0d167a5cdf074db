"""An asynchronous client of the API server: JSON in, JSON out, and watches with the moment of each event."""

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from time import monotonic
from types import TracebackType
from typing import Any, Self

import aiohttp

from tools.bench.errors import BenchError
from tools.localcluster.certificates import Pair

Json = dict[str, Any]
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
METADATA = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
MOST_CONNECTIONS = 64
LONGEST_LINE = 4 * 1024 * 1024  # bytes; one watch event is one line, and holds the whole object
TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Event:
    """One event of a watch.

    Attributes:
        what: ADDED, MODIFIED or DELETED.
        obj: the object as it is, or was last.
        at: monotonic seconds when it arrived here.
    """

    what: str
    obj: Json
    at: float


class Client:
    """One connection pool, for the owner of a certificate.

    Args:
        server: base URL.
        ca: path of the server's CA certificate.
        pair: the client's certificate and key.
    """

    def __init__(self, server: str, ca: str, pair: Pair) -> None:
        self._server = server
        self._tls = ssl.create_default_context(cafile=ca)
        self._tls.load_cert_chain(pair.certificate, pair.key)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=MOST_CONNECTIONS, ssl=self._tls)
        self._session = aiohttp.ClientSession(
            self._server, connector=connector, timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.close()

    async def create(self, path: str, obj: Json) -> None:
        """POST an object into its collection."""
        await self._send("POST", path, obj)

    async def patch(self, path: str, patch: Json, kind: str) -> bool:
        """Change an object by a patch of this media type; False where there is none."""
        return await self._send("PATCH", path, patch, kind, missing=404) is not None

    async def delete(self, path: str, options: Json | None = None) -> bool:
        """Delete an object; False where there is none, or another one with its name."""
        refused = (404, 409) if options else (404,)
        return await self._send("DELETE", path, options, missing=refused) is not None

    async def items(self, path: str, **query: str) -> list[Json]:
        """List a collection; empty where the API server knows no such kind."""
        answer = await self._send("GET", path, query=query, missing=404)
        return list(answer["items"]) if answer else []

    async def watch(self, path: str, *, accept: str = "", **query: str) -> AsyncIterator[Event]:
        """Watch a collection from what exists now, told as ADDED, without an end.

        Args:
            path: of the collection.
            accept: another media type than that of whole objects.
            query: selectors.

        Raises:
            BenchError: the watch was refused or has ended; what it would have told is lost.
        """
        limit = aiohttp.ClientTimeout(total=None, sock_connect=TIMEOUT_S)
        headers = {"Accept": accept} if accept else {}
        asked = self._open.get(
            path,
            params={"watch": "true", **query},
            headers=headers,
            timeout=limit,
            read_bufsize=LONGEST_LINE,
        )
        async with asked as answer:
            if answer.status != 200:
                raise BenchError(f"The API server refused to watch {path}: {(await answer.text())[:500]}")
            async for line in answer.content:
                at = monotonic()
                event = json.loads(line)
                if event["type"] == "ERROR":
                    break
                yield Event(event["type"], event["object"], at)
        raise BenchError(f"The watch of {path} ended too early: run the benchmark again.")

    @property
    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the Client is used before it is entered with `async with`")
        return self._session

    async def _send(
        self,
        verb: str,
        path: str,
        body: Json | None = None,
        kind: str = "application/json",
        *,
        query: Mapping[str, str] | None = None,
        missing: int | tuple[int, ...] = (),
    ) -> Json | None:
        """Send a request; None for an answer that says that the object is missing."""
        headers = {"Content-Type": kind} if body is not None else {}
        data = None if body is None else json.dumps(body)
        async with self._open.request(verb, path, params=query, data=data, headers=headers) as answer:
            text = await answer.text()
        if answer.status in ((missing,) if isinstance(missing, int) else missing):
            return None
        if answer.status >= 400:
            raise BenchError(f"The API server refused {verb} {path} with {answer.status}: {text[:500]}")
        found: Json = json.loads(text)
        return found
