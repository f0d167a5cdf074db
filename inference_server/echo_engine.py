"""A deterministic engine without weights: it answers with what it was asked, a character a token.

For tests of everything around a model, and for a cluster that should run without one.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from inference_server.engine import Gpu, KvUsage, NewRow, Outcome, Phase, Report, Token
from inference_server.errors import BadRequest

_CONTEXT_TOKENS = 4096
_VOCABULARY = 0x110000  # token ids are Unicode code points
_END = 3  # the code point "end of text"
_LAST_USER_TURN = re.compile(r".*<\|user\|>(.*?)<\|end\|>", re.DOTALL)


class EchoText:
    """A character a token."""

    def push(self, token_id: int) -> str:
        """Return the character."""
        return chr(token_id)

    def flush(self) -> str:
        """Return nothing: no character is ever held back."""
        return ""


class EchoTokenizer:
    """One token a character. Its chat template writes `<|role|>text<|end|>` a turn."""

    has_chat_template = True
    chat_template = "<|role|>text<|end|>"
    bos_token = ""
    boundary_tokens: frozenset[str] = frozenset()
    added_tokens = frozenset({"<|system|>", "<|user|>", "<|assistant|>", "<|end|>"})

    def render(
        self, messages: Sequence[Mapping[str, object]], tools: Sequence[Mapping[str, object]] = ()
    ) -> str:
        """Write the turns one after another, and open the assistant's."""
        if tools:
            raise BadRequest("this model's chat template has no place for tools; send the request without")
        turns = [f"<|{message['role']}|>{message['content']}<|end|>" for message in messages]
        return "".join([*turns, "<|assistant|>"])

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """Return the code points of `text`."""
        return [ord(character) for character in text]

    def text_stream(self, context: Sequence[int], *, clean_up: bool, keep_special: bool = False) -> EchoText:
        """Return a stream; nothing in it depends on what came before."""
        return EchoText()

    def token_bytes(self, token_id: int) -> bytes:
        """Return the character in UTF-8."""
        return chr(token_id).encode("utf-8", "replace")


@dataclass
class _Speech:
    """What is left to say of one row."""

    text: str
    said: int = 0
    for_ever: bool = False

    def next(self) -> Token:
        if self.said >= len(self.text) and not (self.for_ever and self.text):
            return Token(_END, is_end=True, logprob=0.0, top=((_END, 0.0),))
        token_id = ord(self.text[self.said % len(self.text)])
        self.said += 1
        return Token(token_id, logprob=0.0, top=((token_id, 0.0),))


class EchoBatch:
    """Answers every row with its last user turn, or the whole prompt where there is none."""

    def __init__(self, token_seconds: float) -> None:
        self._token_seconds = token_seconds
        self._rows: dict[int, _Speech] = {}
        self._never = threading.Event()

    def check(self, row: NewRow) -> None:
        """Refuse what would need a model."""
        if row.sampling.grammar is not None:
            raise BadRequest("the echo engine cannot keep to a schema; serve a model")

    def fits(self, row: NewRow) -> bool:
        """Say yes: nothing is kept."""
        return True

    def add(self, row: NewRow) -> None:
        """Take a row in. Only the lengths, ignore_eos and the prompt mean anything here."""
        text = "".join(map(chr, row.prompt))
        turn = _LAST_USER_TURN.match(text)
        self._rows[row.id] = _Speech(turn.group(1) if turn else text, for_ever=row.sampling.ignore_eos)

    def remove(self, row_id: int) -> None:
        """Forget a row."""
        self._rows.pop(row_id, None)

    def step(self) -> Mapping[int, Outcome]:
        """Say one character of every row."""
        self._never.wait(self._token_seconds)
        return {row_id: speech.next() for row_id, speech in self._rows.items()}

    def usage(self) -> KvUsage:
        """Return nothing: an echo remembers no tokens."""
        return KvUsage(0, 0)


class EchoEngine:
    """An echo. `token_seconds` is how long a step takes, so that tests can meet a generation half way."""

    kind: Literal["echo"] = "echo"
    notes: Sequence[str] = ("an echo: no model is loaded",)
    context_tokens = _CONTEXT_TOKENS
    vocabulary_size = _VOCABULARY
    adapters = None

    def __init__(self, token_seconds: float = 0.0) -> None:
        self.tokenizer = EchoTokenizer()
        self.batch = EchoBatch(token_seconds)

    def load(self, report: Report) -> None:
        """Report the phases of a real load; there is nothing to do in them."""
        report(Phase.LIBRARIES)
        report(Phase.WEIGHTS, 1.0)

    def close(self) -> None:
        """Nothing was started."""

    def gpus(self) -> Sequence[Gpu]:
        """Return none."""
        return ()
