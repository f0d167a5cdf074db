"""The routes under /v1."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from fastapi import APIRouter, Request, Response

from inference_server.http.openai.answers import ChatCompletion, Completion, Model, ModelList
from inference_server.http.openai.chat_completions import prepare_chat
from inference_server.http.openai.completions import prepare_completion
from inference_server.http.openai.fields import SamplingFields
from inference_server.http.openai.protocol import ChatCompletionRequest, CompletionRequest
from inference_server.http.openai.refusals import ErrorBody
from inference_server.http.openai.running import EventStream, whole_answer
from inference_server.http.openai.writer import Writer
from inference_server.models import ModelName
from inference_server.scheduling.stream import Generation
from inference_server.service import Service

Body = TypeVar("Body", bound=SamplingFields)
_EVENTS: dict[str, Any] = {"text/event-stream": {"schema": {"type": "string"}}}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    code: {"model": ErrorBody} for code in (400, 401, 404, 408, 413, 429, 500, 503)
}
_NAME_REFUSALS: dict[int | str, dict[str, Any]] = {code: _REFUSALS[code] for code in (401, 404)}
_LIST_REFUSALS: dict[int | str, dict[str, Any]] = {401: _REFUSALS[401]}


def openai_router(service: Service) -> APIRouter:
    """Return the routes that answer for `service`."""
    router = APIRouter(prefix="/v1", tags=["OpenAI"])
    started = int(time.time())

    @router.get("/models", responses=_LIST_REFUSALS)
    async def list_models() -> ModelList:
        return ModelList(object="list", data=[_model(name, started) for name in service.models.all()])

    @router.get("/models/{model:path}", responses=_NAME_REFUSALS)
    async def get_model(model: str) -> Model:
        return _model(service.models.resolve(model), started)

    @router.post(
        "/chat/completions",
        response_model=ChatCompletion,
        responses={200: {"content": _EVENTS}, **_REFUSALS},
    )
    async def chat_completions(request: Request, body: ChatCompletionRequest) -> Response:
        return await _answer(service, request, body, prepare_chat)

    @router.post(
        "/completions", response_model=Completion, responses={200: {"content": _EVENTS}, **_REFUSALS}
    )
    async def completions(request: Request, body: CompletionRequest) -> Response:
        return await _answer(service, request, body, prepare_completion)

    return router


async def _answer(
    service: Service,
    request: Request,
    body: Body,
    prepare: Callable[[Service, Body], tuple[Sequence[Generation], Writer]],
) -> Response:
    service.health.require_ready()
    generations, writer = await asyncio.to_thread(prepare, service, body)
    if body.stream:
        return EventStream(service, generations, writer)
    return await whole_answer(service, request, generations, writer)


def _model(name: ModelName, created: int) -> Model:
    return Model(id=name.name, object="model", created=created, owned_by="kaito", parent=name.parent)
