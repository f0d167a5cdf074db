"""Stream: what a request gets back, piece by piece. It belongs to the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from inference_server.engine import FinishReason, NewRow, Token
from inference_server.errors import ServerError


@dataclass(frozen=True)
class Generation:
    """One request: rows that share a prompt and are answered together. `rows` is never empty."""

    rows: tuple[NewRow, ...]
    context: tuple[int, ...] = ()  # the prompt's last tokens where an answer continues a text
    keep_special: bool = False


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of the answer `index`: its new text, its new token, and why it ended if it did."""

    index: int
    text: str
    token: Token | None
    finish: FinishReason | None = None


@dataclass(frozen=True)
class Answer:
    """One whole answer. `tokens` are the new ones, an end token included."""

    tokens: tuple[Token, ...]
    text: str
    finish_reason: FinishReason


@dataclass(frozen=True)
class GenerationResult:
    """The answers to one prompt, by index; never empty."""

    prompt_tokens: int
    answers: tuple[Answer, ...]

    @property
    def generated_tokens(self) -> int:
        """Return the number of new tokens of all answers together."""
        return sum(len(answer.tokens) for answer in self.answers)


class Stream:
    """The pieces of one request, in order. Leaving it with close() stops the generation.

    `open` counts the answers that have not ended. Reading raises the error that ended the request.
    `first_token_s` is the time from the request's place in the queue to its first token, in seconds.
    """

    def __init__(
        self,
        answers: int,
        prompt_tokens: int,
        cancel: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.prompt_tokens = prompt_tokens
        self.generated_tokens = 0
        self.open = answers
        self.first_token_s: float | None = None
        self._clock = clock
        self._submitted = clock()
        self._last_s = 0.0
        self._answers = answers
        self._cancel = cancel
        self._pieces: list[Delta] = []
        self._error: ServerError | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def mean_token_s(self) -> float | None:
        """Return the mean time between two tokens of one answer; None before there are two."""
        between = self.generated_tokens - self._answers
        if self.first_token_s is None or between < 1:
            return None
        return (self._last_s - self.first_token_s) * self._answers / between

    async def read(self) -> list[Delta]:
        """Return all pieces that have come since the last call, waiting for one; empty: all have ended.

        Raises:
            RequestError: this request failed, or the server is shutting down.
            EngineFailed: the engine is broken.
        """
        if not self._pieces and self._error is None and self.open:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        if self._pieces:
            pieces, self._pieces = self._pieces, []
            return pieces
        if self._error is not None:
            raise self._error
        return []

    async def collect(self) -> GenerationResult:
        """Wait for all answers; see read() for the errors."""
        texts: list[list[str]] = [[] for _ in range(self._answers)]
        tokens: list[list[Token]] = [[] for _ in range(self._answers)]
        reasons: list[FinishReason] = ["stop"] * self._answers
        while pieces := await self.read():
            for piece in pieces:
                texts[piece.index].append(piece.text)
                if piece.token is not None:
                    tokens[piece.index].append(piece.token)
                if piece.finish is not None:
                    reasons[piece.index] = piece.finish
        parts = zip(tokens, texts, reasons, strict=True)
        answers = tuple(Answer(tuple(own), "".join(text), reason) for own, text, reason in parts)
        return GenerationResult(self.prompt_tokens, answers)

    def close(self) -> None:
        """Stop the generation if it still runs: nobody reads any more."""
        if self.open:
            self._cancel()

    def deliver(self, pieces: list[Delta]) -> None:
        """Take pieces from the scheduler."""
        self._pieces += pieces
        self._last_s = self._clock() - self._submitted
        if self.first_token_s is None:
            self.first_token_s = self._last_s
        for piece in pieces:
            self.generated_tokens += piece.token is not None
            self.open -= piece.finish is not None
        self._wake()

    def fail(self, error: ServerError) -> None:
        """End with an error, after the pieces that have come."""
        self._error = self._error or error
        self.open = 0
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
