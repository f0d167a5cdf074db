"""build_app: the HTTP face of a Service. Each route is one line; what it does lives in its own module."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from inference_server.chat import chat
from inference_server.errors import EngineFailed, RequestError
from inference_server.metrics import PROMETHEUS_TYPE, wants_json
from inference_server.middleware import BodyLimit, RequestIdAndLog
from inference_server.options import ServerOptions
from inference_server.protocol import ChatRequest, ChatResponse, Detail, range_problem
from inference_server.service import Service

_CHAT_ERRORS: dict[int | str, dict[str, object]] = {
    code: {"model": Detail} for code in (400, 413, 429, 500, 503)
}


def build_app(service: Service, options: ServerOptions) -> FastAPI:
    """Return the application that answers for `service`."""
    app = FastAPI(
        title="Inference server",
        summary="v0.3.0's HTTP contract",
        strict_content_type=False,  # v0.3.0's clients may leave the header out
    )

    @app.get("/")
    async def home() -> dict[str, str]:
        return {"message": "Server is running"}

    @app.get("/healthz")
    async def healthz() -> JSONResponse:
        return _json(*service.health.readiness())

    @app.get("/livez")
    async def livez() -> JSONResponse:
        return _json(*service.health.liveness())

    @app.get("/metrics")
    async def metrics(request: Request) -> Response:
        return _metrics(service, request)

    @app.post("/chat", responses=_CHAT_ERRORS)
    async def post_chat(request: Request, body: ChatRequest) -> ChatResponse:
        return await chat(service, request, body)

    app.add_exception_handler(RequestValidationError, _refuse_body)
    app.add_exception_handler(RequestError, _refuse)
    app.add_exception_handler(EngineFailed, _engine_failed)
    app.add_middleware(BodyLimit, limit=options.max_body_bytes)
    app.add_middleware(RequestIdAndLog, metrics=service.metrics)
    return app


def _metrics(service: Service, request: Request) -> Response:
    """Prometheus text, or v0.3.0's JSON when the client asks for JSON."""
    if not wants_json(request.headers.get("accept", "")):
        return Response(service.metrics.prometheus_text(), media_type=PROMETHEUS_TYPE)
    gpus = service.gpus()
    return JSONResponse({"gpu_info": gpus or None, "cpu_info": None if gpus else service.metrics.cpu_entry()})


async def _refuse(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestError)  # noqa: S101 - registered for it only
    headers = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    return JSONResponse({"detail": error.detail}, status_code=error.status, headers=headers)


async def _refuse_body(_: Request, error: Exception) -> JSONResponse:
    """400 with a sentence for a value out of range, 422 with FastAPI's list for a wrong type."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for it only
    problem = range_problem(error.errors())
    if problem is not None:
        return _json(400, {"detail": problem})
    listed = [{key: item[key] for key in ("type", "loc", "msg")} for item in error.errors()]
    return _json(422, {"detail": listed})  # without `input`: it would send the body back


async def _engine_failed(_: Request, error: Exception) -> JSONResponse:
    return _json(500, {"detail": f"the model cannot answer any more: {error}"})


def _json(status: int, body: dict[str, object]) -> JSONResponse:
    return JSONResponse(body, status_code=status)
