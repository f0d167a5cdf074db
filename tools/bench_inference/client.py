"""A cheap HTTP client: one connection a request, parsed in C, read as it arrives."""

import asyncio
import json
from time import monotonic
from typing import cast

import httptools
from typing_extensions import override

from tools.bench.errors import BenchError
from tools.bench_inference.answers import Answer, Json, Reader

HOST = "127.0.0.1"
_GET_S = 10.0


async def ask(port: int, path: str, body: Json, *, leave_after: int | None = None) -> Answer:
    """POST `body` and read the answer to its end.

    Args:
        port: on this machine.
        path: of the route.
        body: sent as JSON.
        leave_after: close the connection after so many pieces, as a client that goes away does.

    Raises:
        OSError: nothing listens there.
    """
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    )
    return await _send(port, head.encode() + content, leave_after)


async def get(port: int, path: str) -> Answer:
    """GET a route that answers at once; see ask().

    Raises:
        OSError: nothing listens there, or nothing came within seconds.
    """
    head = f"GET {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nConnection: close\r\n\r\n"
    async with asyncio.timeout(_GET_S):
        return await _send(port, head.encode(), None)


def succeeded(answer: Answer) -> Answer:
    """Return the answer if it is one.

    Raises:
        BenchError: the server refused, or broke off.
    """
    if answer.status != 200 or answer.error is not None:
        told = answer.error or "nothing that HTTP knows"
        raise BenchError(f"a server answered {answer.status}: {told[:300]}. Its log has the cause.")
    return answer


async def _send(port: int, request: bytes, leave_after: int | None) -> Answer:
    answer, over = Answer(), asyncio.get_running_loop().create_future()
    transport, _ = await asyncio.get_running_loop().create_connection(
        lambda: _Exchange(answer, request, over, leave_after), HOST, port
    )
    try:
        await over
    finally:
        transport.abort()
    return answer


class _Exchange(asyncio.Protocol):
    """One request and its answer. `over` gets its result when the body or the connection has ended."""

    def __init__(
        self, answer: Answer, request: bytes, over: "asyncio.Future[None]", leave_after: int | None
    ) -> None:
        self._answer = answer
        self._request = request
        self._over = over
        self._leave_after = leave_after
        self._reader = Reader(answer)
        self._parser = httptools.HttpResponseParser(self)
        self._content_type = ""
        self._began = monotonic()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._began = monotonic()
        cast(asyncio.Transport, transport).write(self._request)  # uvloop's is none by inheritance

    @override
    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, ValueError) as error:
            self._break_off(f"{type(error).__name__}: {error}")
        if self._leave_after is not None and self._answer.pieces >= self._leave_after:
            self._finish()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if not self._over.done():
            self._break_off(f"the connection ended before the answer: {exc or 'closed'}")

    # What httptools calls, in the order of an answer.

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep the one header that matters."""
        if name.lower() == b"content-type":
            self._content_type = value.decode()

    def on_headers_complete(self) -> None:
        """Begin the body."""
        self._reader.begin(self._parser.get_status_code(), self._content_type)

    def on_body(self, data: bytes) -> None:
        """Take a part of the body."""
        self._reader.push(data, monotonic() - self._began)

    def on_message_complete(self) -> None:
        """End the body."""
        self._reader.end(monotonic() - self._began)
        self._finish()

    def _break_off(self, why: str) -> None:
        self._answer.error = self._answer.error or why
        self._finish()

    def _finish(self) -> None:
        if not self._over.done():
            self._over.set_result(None)
