"""Clients that leave before their answer is there."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import Request

from inference_server.errors import ClientGone

T = TypeVar("T")


async def unless_client_leaves(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` returns, or cancel it when the connection closes first.

    Raises:
        ClientGone: nobody waits for the answer any more.
    """
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
