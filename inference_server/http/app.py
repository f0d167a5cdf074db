"""build_app: the HTTP face of a Service. Each route is one line; what it does lives in its own module."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from typing_extensions import override

from inference_server.http.auth import ApiKeys, RequireApiKey
from inference_server.http.chat import chat
from inference_server.http.errors import add_error_handlers
from inference_server.http.middleware import BodyLimit, RequestIdAndLog
from inference_server.http.openai.routes import openai_router
from inference_server.http.page import page_response
from inference_server.http.protocol import ChatRequest, ChatResponse, Detail
from inference_server.metrics import PROMETHEUS_TYPE, wants_json
from inference_server.options import ServerOptions
from inference_server.service import Service

_CHAT_ERRORS: dict[int | str, dict[str, object]] = {
    code: {"model": Detail} for code in (400, 401, 404, 408, 413, 429, 500, 503)
}


class _App(FastAPI):
    @override
    def openapi(self) -> dict[str, Any]:
        """Describe the routes. What FastAPI answers with 422 is a 400 under /v1."""
        described = super().openapi()
        for path, operations in described["paths"].items():
            for operation in operations.values():
                if path.startswith("/v1/"):
                    operation["responses"].pop("422", None)
        return described


def build_app(service: Service, options: ServerOptions) -> FastAPI:
    """Return the application that answers for `service`."""
    app = _App(
        title="Inference server",
        summary="KAITO v0.3.0's routes, and OpenAI's under /v1",
        strict_content_type=False,  # v0.3.0's clients may leave the header out
    )
    _add_plain_routes(app, service)

    @app.post("/chat", responses=_CHAT_ERRORS)
    async def post_chat(request: Request, body: ChatRequest) -> ChatResponse:
        return await chat(service, request, body)

    app.include_router(openai_router(service))
    add_error_handlers(app)
    app.add_middleware(BodyLimit, limit=options.max_body_bytes)
    if options.api_keys is not None:
        app.add_middleware(RequireApiKey, keys=ApiKeys(options.api_keys))
    app.add_middleware(RequestIdAndLog, metrics=service.metrics)
    return app


def _add_plain_routes(app: FastAPI, service: Service) -> None:
    @app.get("/")
    async def home() -> dict[str, str]:
        return {"message": "Server is running"}

    @app.get("/healthz", responses={500: {}, 503: {}})
    async def healthz() -> JSONResponse:
        return _json(*service.health.readiness())

    @app.get("/livez", responses={500: {}})
    async def livez() -> JSONResponse:
        return _json(*service.health.liveness())

    @app.get("/metrics", responses={200: {"content": {"text/plain": {}}}})
    async def metrics(request: Request) -> Response:
        return _metrics(service, request)

    @app.get("/adapters")
    async def adapters() -> JSONResponse:
        return _json(200, service.adapters_state())

    @app.get("/ui", include_in_schema=False)
    async def page() -> Response:
        return page_response()


def _metrics(service: Service, request: Request) -> Response:
    """Prometheus text, or v0.3.0's JSON when the client asks for JSON."""
    if not wants_json(request.headers.get("accept", "")):
        return Response(service.metrics.prometheus_text(), media_type=PROMETHEUS_TYPE)
    gpus = service.gpus()
    return JSONResponse({"gpu_info": gpus or None, "cpu_info": None if gpus else service.metrics.cpu_entry()})


def _json(status: int, body: dict[str, Any]) -> JSONResponse:
    return JSONResponse(body, status_code=status)
