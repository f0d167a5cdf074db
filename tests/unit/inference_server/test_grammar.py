"""From schemas and grammars to llguidance's text."""

from __future__ import annotations

import json

import pytest

from inference_server.engine import Grammar
from inference_server.errors import BadRequest
from inference_server.grammar import compile_grammar, json_rule, validate_grammar


def schema(value: object) -> Grammar:
    return Grammar("json_schema", json.dumps(value))


def test_a_schema_and_a_lark_grammar_are_valid() -> None:
    validate_grammar(schema({"type": "object", "properties": {"a": {"type": "integer"}}}))
    validate_grammar(schema({"oneOf": [{"type": "string"}, {"type": "number"}]}))
    validate_grammar(Grammar("lark", 'start: "a" | /b+/'))


@pytest.mark.parametrize(
    ("grammar", "words"),
    [
        (schema({"type": "fruit"}), "the JSON schema cannot be kept to: Invalid type: fruit"),
        (schema({"properties": {"a": {"$ref": "#/nowhere"}}}), "the JSON schema cannot be kept to"),
        (schema({"type": "string", "pattern": "(?=a)"}), "look-around"),
        (schema([1]), "the JSON schema cannot be read"),
        (Grammar("json_schema", "{"), "the JSON schema cannot be read"),
        (Grammar("lark", "start: nothing"), "the grammar cannot be kept to"),
    ],
)
def test_a_mistake_is_told_with_llguidances_words(grammar: Grammar, words: str) -> None:
    with pytest.raises(BadRequest) as raised:
        validate_grammar(grammar)
    assert words in raised.value.detail
    assert "\n" not in raised.value.detail
    assert len(raised.value.detail) < 600


def test_white_space_is_bounded_also_where_the_schema_has_options_of_its_own() -> None:
    own = {"type": "object", "x-guidance": {"lenient": True}}
    for text in (compile_grammar(schema(own)), json_rule(own)):
        assert "{1,16}" in text
        assert '"lenient":true' in text.replace(" ", "")
