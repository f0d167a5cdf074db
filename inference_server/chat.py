"""POST /chat."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import Request

from inference_server.errors import ClientGone
from inference_server.protocol import ChatRequest, ChatResponse
from inference_server.service import Service
from inference_server.usage import Usage

T = TypeVar("T")


async def chat(service: Service, request: Request, body: ChatRequest) -> ChatResponse:
    """Answer one prompt or conversation; stop as soon as the client goes away.

    Raises:
        RequestError: what the client should change, or when it should come back.
        EngineFailed: the engine is broken.
    """
    service.health.require_ready()
    prompt, sampling = await asyncio.to_thread(service.prepare, body)
    usage = Usage.of(request.scope)
    usage.tokens_in = len(prompt.token_ids)
    result = await _unless_client_leaves(request, service.generate(prompt, sampling))
    usage.tokens_out = result.generated_tokens
    return ChatResponse(Result=service.result_text(body, prompt, result))


async def _unless_client_leaves(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` returns, or cancel it when the connection closes first."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_client_left(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGone("the client closed the connection")
        return working.result()
    finally:
        leaving.cancel()
        working.cancel()  # does nothing once it is done


async def _client_left(request: Request) -> None:
    """Return when the connection is closed. The body has been read, so nothing else can arrive."""
    while (await request.receive())["type"] != "http.disconnect":
        continue
