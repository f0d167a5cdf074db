"""Streams: the streams of one request, which has one for each of its prompts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from inference_server.errors import ClientGone
from inference_server.http.usage import Usage
from inference_server.scheduling.stream import Delta, Generation, GenerationResult, Stream
from inference_server.service import Service

Batch = list[tuple[int, list[Delta]]]  # the number of a stream's first choice, and its pieces


class Streams:
    """Submits generations and reads them together.

    Raises:
        RequestError: one of them is refused; those before it are stopped.
    """

    def __init__(self, service: Service, generations: Sequence[Generation]) -> None:
        self._service = service
        self._streams: list[tuple[int, Stream]] = []
        self._reading: dict[asyncio.Task[list[Delta]], tuple[int, Stream]] = {}
        offset = 0
        try:
            for generation in generations:
                self._streams.append((offset, service.submit(generation)))
                offset += len(generation.rows)
        except Exception:
            for _, stream in self._streams:
                stream.close()
            raise
        self._first = self._streams[0] if len(self._streams) == 1 else None

    @property
    def prompt_tokens(self) -> int:
        """Return the tokens of all prompts."""
        return sum(stream.prompt_tokens for _, stream in self._streams)

    @property
    def generated_tokens(self) -> int:
        """Return the tokens that have been generated."""
        return sum(stream.generated_tokens for _, stream in self._streams)

    async def read(self) -> Batch:
        """Return what has come since the last call, waiting for it; empty: all is over.

        Raises:
            RequestError: one of the prompts failed.
            EngineFailed: the engine is broken.
        """
        if self._first is not None:  # the common case: no task for every read
            offset, stream = self._first
            pieces = await stream.read()
            return [(offset, pieces)] if pieces else []
        if not self._reading:
            self._reading = {self._read(stream): (offset, stream) for offset, stream in self._streams}
        while self._reading:
            done, _ = await asyncio.wait(self._reading, return_when=asyncio.FIRST_COMPLETED)
            batch = self._take(done)
            if batch:
                return batch
        return []

    async def collect(self) -> list[GenerationResult]:
        """Wait for all answers; see read() for the errors."""
        return [await stream.collect() for _, stream in self._streams]

    def leave(self) -> None:
        """Stop everything: nobody reads the answer. Whoever waits in read() gets ClientGone."""
        for _, stream in self._streams:
            stream.close()
            stream.fail(ClientGone("the client closed the connection"))

    def close(self, usage: Usage) -> None:
        """Stop what still runs, and count what was generated."""
        for task in self._reading:
            task.cancel()
        for _, stream in self._streams:
            stream.close()
            self._service.account(stream)
        usage.tokens_in, usage.tokens_out = self.prompt_tokens, self.generated_tokens

    def _take(self, done: set[asyncio.Task[list[Delta]]]) -> Batch:
        batch: Batch = []
        for task in done:
            offset, stream = self._reading.pop(task)
            pieces = task.result()
            if pieces:
                batch.append((offset, pieces))
                self._reading[self._read(stream)] = (offset, stream)
        return batch

    @staticmethod
    def _read(stream: Stream) -> asyncio.Task[list[Delta]]:
        return asyncio.ensure_future(stream.read())
