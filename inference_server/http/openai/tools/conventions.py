"""Conventions: the ways in which models write calls of functions, recognized by their chat template."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal
from uuid import uuid4

from inference_server.engine import Tokenizer
from inference_server.errors import BadRequest


def _long_id() -> str:
    return f"call_{uuid4().hex[:24]}"


def _short_id() -> str:
    return uuid4().hex[:9]  # Mistral's templates refuse all but nine letters and digits


@dataclass(frozen=True)
class Convention:
    """How calls stand in an answer.

    `begin` opens a call and `end` closes it; '' for `end`: it goes on to the next `begin` or to the end of
    the answer. `bare`: an answer that begins with `{` may be a call without any marker. `body` is one call
    or a list of them. `arguments` is the key under which the arguments stand. `markers` are all texts that
    must reach the reader, special tokens or not.
    """

    name: str
    begin: str
    end: str = ""
    bare: bool = False
    body: Literal["call", "list"] = "call"
    arguments: str = "arguments"
    markers: tuple[str, ...] = ()
    new_id: Callable[[], str] = _long_id
    special: frozenset[str] = frozenset()

    @property
    def keep_special(self) -> bool:
        """Say whether a marker is a special token, which is no text unless asked for."""
        return bool(self.special.intersection(self.markers))


HERMES = Convention("hermes", "<tool_call>", "</tool_call>", markers=("<tool_call>", "</tool_call>"))
MISTRAL = Convention(
    "mistral",
    "[TOOL_CALLS]",
    body="list",
    markers=("[TOOL_CALLS]", "[ARGS]", "[CALL_ID]"),
    new_id=_short_id,
)
PHI = Convention(
    "phi",
    "<|tool_call|>",
    "<|/tool_call|>",
    body="list",
    markers=("<|tool_call|>", "<|/tool_call|>"),
)
LLAMA = Convention("llama", "<|python_tag|>", bare=True, arguments="parameters", markers=("<|python_tag|>",))
PLAIN = Convention("plain", "", bare=True)

_NO_PLACE = "this model's chat template has no place for tools; send the request without"
_UNREAD = (
    "this model's chat template has its calls written in a form that this server cannot read; "
    "send the request without tools"
)


def convention_of(tokenizer: Tokenizer) -> Convention:
    """Return how this model writes calls, by what its template says.

    Raises:
        BadRequest: the template takes no tools, or has calls written in a form that is not known here.
    """
    template = tokenizer.chat_template
    if "tools" not in template:
        raise BadRequest(_NO_PLACE)
    if "<function=" in template or "<arg_key>" in template:
        raise BadRequest(_UNREAD)
    found = next((one for one in (MISTRAL, PHI, HERMES) if one.begin in template), None)
    if found is None:
        found = LLAMA if "python_tag" in template or "ipython" in template else PLAIN
    return replace(found, special=special_texts(tokenizer))  # type: ignore[arg-type] # hashed by identity


@functools.lru_cache(maxsize=2)
def special_texts(tokenizer: Tokenizer) -> frozenset[str]:
    """Return the texts of the tokens that are left out of an answer's text."""
    return frozenset(text for text in tokenizer.added_tokens if _is_special(tokenizer, text))


def token_of(tokenizer: Tokenizer, text: str) -> int | None:
    """Return the id of the one token that `text` is, None if it is none."""
    ids = tokenizer.encode(text, add_special_tokens=False)
    return ids[0] if len(ids) == 1 else None


def _is_special(tokenizer: Tokenizer, text: str) -> bool:
    token_id = token_of(tokenizer, text)
    if token_id is None:
        return False
    stream = tokenizer.text_stream((), clean_up=False)
    return not (stream.push(token_id) + stream.flush())
