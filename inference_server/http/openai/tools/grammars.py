"""Grammars that make a model call: what its convention looks like, with the schemas of the functions."""

from __future__ import annotations

import json
from collections.abc import Sequence

from inference_server.engine import Grammar, Tokenizer
from inference_server.grammar import json_rule
from inference_server.http.openai.protocol import FunctionDefinition
from inference_server.http.openai.tools.conventions import Convention, token_of

_MOST_CALLS = 8  # a small model that may go on calling does so until its tokens are used up


def call_grammar(
    convention: Convention, tokenizer: Tokenizer, functions: Sequence[FunctionDefinition], *, several: bool
) -> Grammar:
    """Return the grammar of an answer that is one call of `functions`, or up to 8 of them."""
    return Grammar("lark", f"start: calls\n{_calls(convention, tokenizer, functions, several=several)}")


def answer_or_calls(
    convention: Convention,
    tokenizer: Tokenizer,
    functions: Sequence[FunctionDefinition],
    schema: dict[str, object],
    *,
    several: bool,
) -> Grammar:
    """Return the grammar of an answer that keeps to `schema`, or calls instead."""
    calls = _calls(convention, tokenizer, functions, several=several)
    return Grammar("lark", f"start: answer | calls\nanswer: {json_rule(schema)}\n{calls}")


def _calls(
    convention: Convention, tokenizer: Tokenizer, functions: Sequence[FunctionDefinition], *, several: bool
) -> str:
    """Return the rule `calls`. Each schema is a rule of its own: references in it are to its own root."""
    begin, end = (_marker(convention, tokenizer, text) for text in (convention.begin, convention.end))
    rules = [_function_rules(convention, index, function) for index, function in enumerate(functions)]
    rules.append("one: " + " | ".join(f"call_{index}" for index in range(len(functions))))
    if convention.body == "list":
        more = _repeated('", " one', several=several)
        rules.append(f'calls: {begin} "[" one {more} "]" {end}')
    elif convention.bare:
        more = _repeated('"; " one', several=several)
        rules.append(f"calls: one {more}")
    else:
        more = _repeated('"\\n"? call', several=several)
        rules.append(f'call: {begin} "\\n" one "\\n" {end}')
        rules.append(f"calls: call {more}")
    return "\n".join(rules) + "\n"


def _repeated(what: str, *, several: bool) -> str:
    return f"({what}){{0,{_MOST_CALLS - 1}}}" if several else ""


def _function_rules(convention: Convention, index: int, function: FunctionDefinition) -> str:
    """Return the rules of one call. Keywords that cannot be kept to are left out unless `strict`."""
    schema: dict[str, object] = {"type": "object", **(function.parameters or {"additionalProperties": False})}
    schema["x-guidance"] = {"lenient": not function.strict}
    opened = json.dumps(f'{{"name": {json.dumps(function.name)}, "{convention.arguments}": ')
    return f'call_{index}: {opened} arguments_{index} "}}"\narguments_{index}: {json_rule(schema)}'


def _marker(convention: Convention, tokenizer: Tokenizer, text: str) -> str:
    """Return a marker as the Lark dialect has it: a special token is no sequence of characters."""
    if not text:
        return ""
    token_id = token_of(tokenizer, text) if text in convention.special else None
    return json.dumps(text) if token_id is None else f"<[{token_id}]>"
