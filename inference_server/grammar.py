"""Grammars: from what a client asks for to the text that llguidance compiles. Both engines use it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from llguidance import LLMatcher

from inference_server.engine import Grammar
from inference_server.errors import BadRequest

_LONGEST_PROBLEM = 500  # characters of llguidance's words; it may quote the whole grammar
# Bounded: a small model that may write white space writes nothing else until its tokens are used up.
_WHITE_SPACE = r"[ \t\n\r]{1,16}"
JSON_OPTIONS: dict[str, Any] = {"whitespace_pattern": _WHITE_SPACE, "coerce_one_of": True}


def compile_grammar(grammar: Grammar) -> str:
    """Return the grammar as llguidance's constructors take it. What is wrong inside it shows only there.

    `oneOf` of a JSON schema is taken as `anyOf`: which of them an answer is like shows when it is written.

    Raises:
        BadRequest: a schema that is no JSON object.
    """
    if grammar.kind == "lark":
        return str(LLMatcher.grammar_from_lark(grammar.text))
    try:
        return str(LLMatcher.grammar_from_json_schema(grammar.text, defaults=JSON_OPTIONS))  # type: ignore[arg-type]
    except ValueError as error:
        raise BadRequest(f"the JSON schema cannot be read: {_shortened(str(error))}") from None


def validate_grammar(grammar: Grammar) -> None:
    """Pass if an engine can keep to `grammar`. Takes milliseconds; run it off the event loop.

    Raises:
        BadRequest: a mistake, or something that llguidance does not know; the sentence has its words.
    """
    wrong, words = LLMatcher.validate_grammar_with_warnings(compile_grammar(grammar))
    if wrong:
        raise unusable(grammar, words[0] if words else "no reason given")


def unusable(grammar: Grammar, words: str) -> BadRequest:
    """Return the error of a grammar of which llguidance says `words`."""
    what = "JSON schema" if grammar.kind == "json_schema" else "grammar"
    return BadRequest(f"the {what} cannot be kept to: {_shortened(words)}")


def json_rule(schema: Mapping[str, object]) -> str:
    """Return a schema as a rule's body in the Lark dialect, with the same options as a schema alone."""
    own = schema.get("x-guidance")
    options = {**JSON_OPTIONS, **(own if isinstance(own, Mapping) else {})}
    return "%json " + json.dumps({**schema, "x-guidance": options}, ensure_ascii=False)


def _shortened(words: str) -> str:
    line = " ".join(words.split())
    return line if len(line) <= _LONGEST_PROBLEM else line[:_LONGEST_PROBLEM] + " ..."
