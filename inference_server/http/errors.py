"""What a refused request is sent: v0.3.0's {"detail": ...}, or OpenAI's shape under /v1."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import Scope

from inference_server.errors import EngineFailed, RequestError, RequestTimeout, TooLong, Unauthorized
from inference_server.http.openai.refusals import error_body, problems
from inference_server.http.protocol import range_problem


def is_openai(scope: Scope) -> bool:
    """Say whether a request is for one of OpenAI's routes."""
    path: str = scope["path"]
    return path == "/v1" or path.startswith("/v1/")


def refusal(
    scope: Scope,
    status: int,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    param: str | None = None,
    code: str | None = None,
) -> JSONResponse:
    """Return the response to a request that is refused with a sentence, in the shape of its route."""
    body = error_body(status, detail, param=param, code=code) if is_openai(scope) else {"detail": detail}
    return JSONResponse(body, status_code=status, headers=headers)


def refused(scope: Scope, error: RequestError) -> JSONResponse:
    """Return the response to a request that ended with `error`."""
    headers = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    code = None
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, RequestTimeout):
        headers["x-should-retry"] = "false"  # OpenAI's clients would send it again, and it would end the same
    if isinstance(error, TooLong):
        code = "context_length_exceeded"
    param = "model" if error.status == 404 else None
    return refusal(scope, error.status, error.detail, headers=headers, param=param, code=code)


def add_error_handlers(app: FastAPI) -> None:
    """Let every error that a route raises be answered in the route's shape."""
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(RequestError, _refused)
    app.add_exception_handler(EngineFailed, _engine_failed)
    app.add_exception_handler(HTTPException, _http_error)


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestError)  # noqa: S101 - registered for it only
    return refused(request.scope, error)


async def _engine_failed(request: Request, error: Exception) -> JSONResponse:
    return refusal(request.scope, 500, f"the model cannot answer any more: {error}")


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it only
    # No code "model_not_found" for a path that does not exist.
    code = "unknown_url" if error.status_code == 404 else None
    return refusal(request.scope, error.status_code, str(error.detail), headers=error.headers, code=code)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    """400 with a sentence for a value out of range, and for a wrong type under /v1; else FastAPI's 422."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for it only
    if is_openai(request.scope):
        detail, param = problems(error.errors())
        return refusal(request.scope, 400, detail, param=param)
    problem = range_problem(error.errors())
    if problem is not None:
        return refusal(request.scope, 400, problem)
    # Without `input`: it would send the body back.
    listed = [{key: item[key] for key in ("type", "loc", "msg")} for item in error.errors()]
    return JSONResponse({"detail": listed}, status_code=422)
