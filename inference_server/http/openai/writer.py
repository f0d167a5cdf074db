"""Writers: the pieces of an answer as chunks of a stream, or all of them as one body.

A chunk is put together from text that stays the same and one JSON string: 200 streams at once leave no time
to build an object and serialize it for every token.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from json.encoder import encode_basestring_ascii as json_string
from typing import Protocol
from uuid import uuid4

from inference_server.engine import FinishReason, Token
from inference_server.scheduling.stream import Answer, Delta, GenerationResult

DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class Heading:
    """What all chunks and bodies of one request begin with. `model` is the name that answered."""

    prefix: str
    kind: str
    model: str
    fingerprint: str
    id: str = field(init=False)
    created: int = field(default_factory=lambda: int(time.time()))

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", f"{self.prefix}-{uuid4().hex}")

    def fields(self, kind: str = "") -> dict[str, object]:
        """Return the heading of an object of this kind; of the kind of chunks for none."""
        return {
            "id": self.id,
            "object": kind or self.kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
        }


def usage_of(prompt_tokens: int, completion_tokens: int) -> dict[str, object]:
    """Return `usage`."""
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


class Writer(Protocol):
    """How one route writes its answers. Belongs to one request."""

    @property
    def includes_usage(self) -> bool:
        """Say whether a stream ends with its usage."""
        ...

    def events(self, offset: int, pieces: Sequence[Delta]) -> str:
        """Return the events for pieces of choices that are counted from `offset`; '' for none yet."""
        ...

    def usage_event(self, prompt_tokens: int, completion_tokens: int) -> str:
        """Return the last event of a stream that has its usage in it."""
        ...

    def body(self, results: Sequence[GenerationResult]) -> dict[str, object]:
        """Return the whole answer, of one result for each prompt."""
        ...


@dataclass
class Together:
    """The pieces of one choice that have come together."""

    text: str = ""
    tokens: list[Token] = field(default_factory=list)
    finish: FinishReason | None = None


def by_choice(pieces: Iterable[Delta]) -> dict[int, Together]:
    """Put the pieces of each choice together, so that one chunk tells them all."""
    choices: dict[int, Together] = {}
    for piece in pieces:
        choice = choices.get(piece.index)
        if choice is None:
            choice = choices[piece.index] = Together()
        choice.text += piece.text
        if piece.token is not None:
            choice.tokens.append(piece.token)
        choice.finish = piece.finish or choice.finish
    return choices


class Chunks:
    """Makes the events of one stream. `with_usage`: each chunk says that its usage comes later."""

    def __init__(self, heading: Heading, *, with_usage: bool) -> None:
        fields = json.dumps(heading.fields())
        self._before = f'data: {fields[:-1]},"choices":[{{"index":'
        self._after = '}],"usage":null}\n\n' if with_usage else "}]}\n\n"
        self._usage = f'data: {fields[:-1]},"choices":[],"usage":'

    def text(self, index: int, before: str, text: str, after: str) -> str:
        """Return an event: the choice's `index`, then JSON `before` and `after` a string of `text`."""
        return f"{self._before}{index},{before}{json_string(text)}{after}{self._after}"

    def raw(self, index: int, choice: str) -> str:
        """Return an event with the rest of a choice as JSON."""
        return f"{self._before}{index},{choice}{self._after}"

    def usage(self, prompt_tokens: int, completion_tokens: int) -> str:
        """Return the event without choices that tells the usage."""
        return f"{self._usage}{json.dumps(usage_of(prompt_tokens, completion_tokens))}}}\n\n"


def whole(answer: Answer) -> Together:
    """Return a whole answer as its pieces, put together."""
    return Together(answer.text, list(answer.tokens), answer.finish_reason)
