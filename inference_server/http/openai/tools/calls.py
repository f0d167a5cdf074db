"""Calls as text: a pure reading of what a model wrote between its markers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Newer Mistral models: the name, perhaps an id, then the arguments alone.
_NAMED = re.compile(r"\s*([\w.-]{1,64})\s*(?:\[CALL_ID\]\s*\w*\s*)?(?:\[ARGS\])?\s*(?=\{)")
_BETWEEN = re.compile(r"[\s;,]*")
_ARGUMENT_KEYS = ("arguments", "parameters", "args")
_DECODER = json.JSONDecoder()


@dataclass(frozen=True)
class Call:
    """One call. `arguments` is a JSON object, as text."""

    name: str
    arguments: str


def parse_calls(text: str) -> list[Call] | None:
    """Read the calls that `text` consists of: objects one after another, or a list of them.

    Returns:
        None if `text` is anything else, so that nothing a model wrote is lost.
    """
    named = _NAMED.match(text)
    if named is not None:
        return _named_call(named, text)
    values = _values(text)
    if values is None:
        return None
    calls: list[Call] = []
    for value in values:
        for item in value if isinstance(value, list) else [value]:
            call = _call(item)
            if call is None:
                return None
            calls.append(call)
    return calls or None


def _named_call(named: re.Match[str], text: str) -> list[Call] | None:
    values = _values(text[named.end() :])
    if values is None or len(values) != 1:
        return None
    return [Call(named[1], _dumped(values[0]))]


def _values(text: str) -> list[Any] | None:
    """Return the JSON values that stand in `text`; None if something else does too."""
    values = []
    at = _BETWEEN.match(text).end()  # type: ignore[union-attr] # it matches nothing, too
    while at < len(text):
        try:
            value, at = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            return None
        values.append(value)
        at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]
    return values


def _call(value: object) -> Call | None:
    if not isinstance(value, Mapping):
        return None
    inner = value.get("function")
    if isinstance(inner, Mapping):
        value = inner
    name = value.get("name", inner)
    if not isinstance(name, str) or not name:
        return None
    arguments: object = next((value[key] for key in _ARGUMENT_KEYS if key in value), {})
    if isinstance(arguments, str):
        arguments = _object_in(arguments)
    if arguments is None:
        arguments = {}
    return Call(name, _dumped(arguments)) if isinstance(arguments, Mapping) else None


def _object_in(text: str) -> object:
    """Return the JSON in a text: some models write their arguments quoted once more."""
    try:
        return json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError):
        return text


def _dumped(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
