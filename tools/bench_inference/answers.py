"""What a server sends back, read as it arrives: one JSON body, or server-sent events."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
Body = Callable[[str, int], Json]
"""Writes a request from a prompt and the number of tokens that are wanted."""


@dataclass
class Answer:
    """One request's answer, as far as it has come.

    Attributes:
        status: of HTTP; 0 before the head has come.
        text: what the model said.
        pieces: events that held text.
        finish: the reason that the server gave for the end; None: it gave none.
        counted: completion tokens by the server's own count; None: it gave none.
        error: what the server said in place of an answer.
        moments_s: when each piece came, in seconds since the request was sent.
        end_s: when the answer was over, likewise.
    """

    status: int = 0
    text: str = ""
    pieces: int = 0
    finish: str | None = None
    counted: int | None = None
    error: str | None = None
    moments_s: list[float] = field(default_factory=list)
    end_s: float = 0.0

    def tokens(self, asked: int) -> int:
        """Count the new tokens, of which `asked` were wanted.

        The server's own count comes first. One that stopped at the limit has made what was asked; else
        a piece is a token, which is right but where a character takes several.
        """
        if self.counted is not None:
            return self.counted
        return asked if self.finish == "length" else self.pieces


class Reader:
    """Puts the body of one answer into an Answer. `now_s` is always the time since the request was sent."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._held = b""
        self._streamed = False

    def begin(self, status: int, content_type: str) -> None:
        """Take the head."""
        self._answer.status = status
        self._streamed = content_type.startswith("text/event-stream")

    def push(self, data: bytes, now_s: float) -> None:
        """Take a part of the body."""
        if not self._streamed:
            self._held += data
            return
        *lines, self._held = (self._held + data).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                self._event(line[5:].strip(), now_s)

    def end(self, now_s: float) -> None:
        """Take the end of the body."""
        self._answer.end_s = now_s
        if not self._streamed:
            self._whole(now_s)

    def _event(self, data: bytes, now_s: float) -> None:
        if data == b"[DONE]":
            return
        event = json.loads(data)
        answer = self._answer
        if "error" in event:
            answer.error = json.dumps(event["error"])
            return
        _take_usage(answer, event)
        for choice in event.get("choices", ()):
            answer.finish = choice.get("finish_reason") or answer.finish
            text = choice.get("delta", choice).get("content") or choice.get("text")
            if text:
                answer.text += text
                answer.pieces += 1
                answer.moments_s.append(now_s)

    def _whole(self, now_s: float) -> None:
        answer = self._answer
        try:
            body = json.loads(self._held)
        except ValueError:
            answer.error = self._held[:200].decode(errors="replace")
            return
        if answer.status != 200 or not isinstance(body, dict):
            answer.error = self._held[:200].decode(errors="replace")
            return
        _take_usage(answer, body)
        answer.text = str(body.get("Result", ""))
        for choice in body.get("choices", ()):
            answer.text += choice["message"]["content"] or ""
            answer.finish = choice.get("finish_reason")
        answer.pieces = 1
        answer.moments_s.append(now_s)


def _take_usage(answer: Answer, body: Json) -> None:
    usage = body.get("usage")
    if usage:
        answer.counted = usage.get("completion_tokens")
