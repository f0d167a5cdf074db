"""What every request passes through: an id, a limit on its body, one log line, one count.

Plain ASGI: a body is never buffered, and the disconnect message still reaches the route.
"""

from __future__ import annotations

import logging
import re
import time
import traceback
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inference_server.http.errors import is_openai, refusal
from inference_server.http.usage import Usage
from inference_server.metrics import Metrics

_log = logging.getLogger("inference_server.request")
_QUIET_ROUTES = frozenset({"/healthz", "/livez", "/metrics"})  # asked every few seconds: debug level
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestIdAndLog:
    """Outermost: names the request, logs and counts it, and turns a stray exception into a JSON 500."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection event of ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        usage = Usage.of(scope)
        usage.request_id = _request_id(Headers(scope=scope).get("x-request-id", ""))
        started = time.monotonic()
        code = 0

        async def send_with_id(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = usage.request_id
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception as error:  # noqa: BLE001 - the last resort: the client gets JSON, the log the place
            _log_unexpected(error, usage.request_id)
            if code == 0:
                await _internal_error(scope, usage.request_id)(scope, receive, send_with_id)
        self._account(scope, usage.code or code, time.monotonic() - started, usage)

    def _account(self, scope: Scope, code: int, seconds: float, usage: Usage) -> None:
        route = getattr(scope.get("route"), "path", "other")  # never the path that the client sent
        self._metrics.count_request(route, code, seconds)
        level = logging.DEBUG if route in _QUIET_ROUTES else logging.INFO
        fields = {
            "request_id": usage.request_id,
            "method": scope["method"],
            "route": route,
            "code": code,
            "tokens_in": usage.tokens_in,
            "tokens_out": usage.tokens_out,
            "seconds": round(seconds, 4),
        }
        _log.log(level, "request", extra=fields)


class BodyLimit:
    """Refuses a body above `limit` bytes with 413, by its announced length or once that much has come."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection event of ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isdigit() and int(announced) > self._limit:
            await refusal(scope, 413, self._text())(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limit:
                raise HTTPException(413, self._text())
            return message

        await self._app(scope, counted, send)

    def _text(self) -> str:
        return f"the request body is larger than {self._limit} bytes; send less, or raise --max-body-bytes"


def _request_id(given: str) -> str:
    """Take the client's id where it is one word of harmless characters, else make one."""
    return given if _ID.fullmatch(given) else uuid.uuid4().hex


def _log_unexpected(error: Exception, request_id: str) -> None:
    """Log where an exception came from, without its text: library errors may quote the prompt."""
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    where = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    fields = {"request_id": request_id, "error_type": type(error).__name__, "where": where}
    _log.error("unexpected error", extra=fields)


def _internal_error(scope: Scope, request_id: str) -> JSONResponse:
    detail = f"internal error; the server's log has the place under request id {request_id}"
    if is_openai(scope):
        return refusal(scope, 500, detail)
    return JSONResponse({"detail": detail, "request_id": request_id}, status_code=500)
