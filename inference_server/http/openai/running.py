"""From rows to a response: whole, or as server-sent events."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Sequence

from fastapi import Request, Response
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from inference_server.errors import ClientGone, EngineFailed, RequestError
from inference_server.http.leaving import unless_client_leaves
from inference_server.http.openai.refusals import error_body
from inference_server.http.openai.streams import Streams
from inference_server.http.openai.writer import DONE, Writer
from inference_server.http.usage import Usage
from inference_server.scheduling.stream import Generation
from inference_server.service import Service

HEARTBEAT_S = 15.0  # proxies close a connection on which nothing comes for a minute
_STUCK_S = 60.0  # a client that takes nothing for so long: what it would be sent is not generated


async def whole_answer(
    service: Service, request: Request, generations: Sequence[Generation], writer: Writer
) -> Response:
    """Answer when all of it is there; stop as soon as the client goes away.

    Raises:
        RequestError: a request failed, or the client left.
        EngineFailed: the engine is broken.
    """
    streams = Streams(service, generations)
    try:
        results = await unless_client_leaves(request, streams.collect())
    finally:
        streams.close(Usage.of(request.scope))
    body = json.dumps(writer.body(results), ensure_ascii=False, separators=(",", ":"))
    return Response(body.encode("utf-8", "replace"), media_type="application/json")


class EventStream(Response):
    """Streams an answer. Rows are submitted when it is sent: until its first byte an error has a status.

    What fails later is an event `{"error": ...}`, the last one.
    """

    def __init__(self, service: Service, generations: Sequence[Generation], writer: Writer) -> None:
        super().__init__(media_type="text/event-stream")
        self.headers["Cache-Control"] = "no-cache"
        self.headers["X-Accel-Buffering"] = "no"  # nginx would hold the events back
        del self.headers["Content-Length"]
        self._service = service
        self._generations = generations
        self._writer = writer
        self._begun = False
        self._sent_at = 0.0
        self._sending = False

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        usage = Usage.of(scope)
        streams = Streams(self._service, self._generations)
        self._sent_at = asyncio.get_running_loop().time()
        watch = asyncio.ensure_future(self._watch(streams, receive, send))
        try:
            await self._stream(streams, send)
        except (RequestError, EngineFailed) as error:
            if not self._begun:
                raise
            await self._end_with(error, usage, send)
        finally:
            watch.cancel()
            streams.close(usage)

    async def _stream(self, streams: Streams, send: Send) -> None:
        while batch := await streams.read():
            events = "".join([self._writer.events(offset, pieces) for offset, pieces in batch])
            if events:
                await self._send(events.encode(), send)
        last = b""
        if self._writer.includes_usage:
            usage = self._writer.usage_event(streams.prompt_tokens, streams.generated_tokens)
            last = usage.encode()
        await self._send(last + DONE, send, more=False)

    async def _send(self, data: bytes, send: Send, *, more: bool = True) -> None:
        self._sending = True
        if not self._begun:
            self._begun = True
            start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            await send(start)
        await send({"type": "http.response.body", "body": data, "more_body": more})
        self._sending = False
        self._sent_at = asyncio.get_running_loop().time()

    async def _end_with(self, error: RequestError | EngineFailed, usage: Usage, send: Send) -> None:
        """Tell an error in the stream. The log has its status, since the response's is 200 already."""
        usage.code = error.status if isinstance(error, RequestError) else 500
        if isinstance(error, ClientGone):
            return
        text = str(error) if isinstance(error, RequestError) else f"the model cannot answer any more: {error}"
        event = f"data: {json.dumps(error_body(usage.code, text))}\n\n"
        await self._send(event.encode(), send, more=False)

    async def _watch(self, streams: Streams, receive: Receive, send: Send) -> None:
        """End the rows when the client leaves, and keep a silent connection open."""
        leaving = asyncio.ensure_future(_left(receive))
        loop = asyncio.get_running_loop()
        try:
            while not (await asyncio.wait({leaving}, timeout=HEARTBEAT_S))[0]:
                silent = loop.time() - self._sent_at
                if self._sending and silent > _STUCK_S:
                    break
                if not self._sending and silent >= HEARTBEAT_S:
                    with contextlib.suppress(OSError):
                        await self._send(b": keep-alive\n\n", send)
            streams.leave()
        finally:
            leaving.cancel()


async def _left(receive: Receive) -> None:
    """Return when the connection is closed. The body has been read, so nothing else can arrive."""
    while (await receive())["type"] != "http.disconnect":
        continue
