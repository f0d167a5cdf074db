"""The least that FastAPI can stream: events of the same shape at the same pace, with nothing behind them.

It shows what of our own server's CPU per token is the framework's.
"""

import argparse
import asyncio
import json
from collections.abc import AsyncIterator

import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel


class Completion(BaseModel):
    """The part of a request that decides how much is streamed."""

    max_tokens: int


class Beat:
    """Wakes all streams at once, as a step of an engine does."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    async def wait(self) -> None:
        """Return at the next beat."""
        loop = asyncio.get_running_loop()
        self._next = self._next or loop.create_future()
        self._task = self._task or loop.create_task(self._run())
        await asyncio.shield(self._next)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            now, self._next = self._next, None
            if now is not None:
                now.set_result(None)


def build_app(beat: Beat) -> FastAPI:
    """Return the application."""
    app = FastAPI()

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "Healthy"}

    @app.post("/v1/chat/completions")
    async def stream(body: Completion) -> StreamingResponse:
        return StreamingResponse(_events(beat, body.max_tokens), media_type="text/event-stream")

    return app


async def _events(beat: Beat, tokens: int) -> AsyncIterator[str]:
    for _ in range(tokens):
        await beat.wait()
        yield _event({"content": "a"}, None)
    yield _event({}, "length")
    yield "data: [DONE]\n\n"


def _event(delta: dict[str, str], finish: str | None) -> str:
    chunk = {
        "id": "chatcmpl-0123456789abcdef",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "bare",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    return f"data: {json.dumps(chunk)}\n\n"


def main() -> None:
    """Serve until the process is told to end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--token-seconds", type=float, required=True)
    options = parser.parse_args()
    app = build_app(Beat(options.token_seconds))
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning", backlog=2048)


if __name__ == "__main__":
    main()
