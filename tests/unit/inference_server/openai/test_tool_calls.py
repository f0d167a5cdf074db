"""What models write, and the text and calls that come out of it, whole and in pieces."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from inference_server.echo_engine import EchoText, EchoTokenizer
from inference_server.errors import BadRequest
from inference_server.grammar import validate_grammar
from inference_server.http.openai.protocol import FunctionDefinition
from inference_server.http.openai.tools.calls import Call, parse_calls
from inference_server.http.openai.tools.conventions import (
    HERMES,
    LLAMA,
    MISTRAL,
    PHI,
    PLAIN,
    Convention,
    convention_of,
)
from inference_server.http.openai.tools.grammars import answer_or_calls, call_grammar
from inference_server.http.openai.tools.reader import CallReader, Piece

PARIS = '{"name": "weather", "arguments": {"city": "Paris"}}'
ROME = '{"name": "weather", "arguments": {"city": "Rome"}}'
BARE = '{"name": "weather", "parameters": {"city": "Paris"}}'
CALL = Call("weather", '{"city": "Paris"}')
OTHER = Call("weather", '{"city": "Rome"}')

READ: list[tuple[Convention, str, list[Piece]]] = [
    (HERMES, "Hello.", ["Hello."]),
    (HERMES, "", []),
    (HERMES, f"<tool_call>\n{PARIS}\n</tool_call>", [CALL]),
    (HERMES, f"Let me see.\n<tool_call>{PARIS}</tool_call>", ["Let me see.\n", CALL]),
    (HERMES, f"<tool_call>{PARIS}</tool_call>\n<tool_call>{ROME}</tool_call>", [CALL, OTHER]),
    (HERMES, f"<tool_call>\n{PARIS}", [CALL]),  # the end token came in the stead of the closing tag
    (HERMES, "<tool_call>what is this</tool_call> x", ["<tool_call>what is this</tool_call>", " x"]),
    (HERMES, f"<tool_call>{PARIS[:-9]}", [f"<tool_call>{PARIS[:-9]}"]),  # cut off at max_tokens
    (HERMES, "a < b and <tool b", ["a < b and <tool b"]),
    (HERMES, '{"name": "weather"}', ['{"name": "weather"}']),  # JSON that was asked for
    (MISTRAL, f"[TOOL_CALLS] [{PARIS}, {ROME}]", [CALL, OTHER]),
    (MISTRAL, '[TOOL_CALLS]weather[ARGS]{"city": "Paris"}', [CALL]),
    (MISTRAL, '[TOOL_CALLS]weather[CALL_ID]abc123XYZ[ARGS]{"city": "Paris"}', [CALL]),
    (
        MISTRAL,
        '[TOOL_CALLS]weather[ARGS]{"city": "Paris"}[TOOL_CALLS]weather[ARGS]{"city": "Rome"}',
        [CALL, OTHER],
    ),
    (MISTRAL, "[1, 2]", ["[1, 2]"]),
    (PHI, f"<|tool_call|>[{PARIS}]<|/tool_call|>", [CALL]),
    (PHI, f"<|tool_call|>{PARIS}<|/tool_call|> done", [CALL, " done"]),
    (LLAMA, BARE, [CALL]),
    (LLAMA, f"<|python_tag|>{BARE}", [CALL]),
    (LLAMA, f"{BARE}; {BARE}", [CALL, CALL]),
    (LLAMA, '  {"type": "function", "name": "weather", "parameters": {"city": "Paris"}}', [CALL]),
    (LLAMA, '{"name": "Ada", "parameters": 3}', ['{"name": "Ada", "parameters": 3}']),
    (LLAMA, '{"name": "other", "parameters": {}}', ['{"name": "other", "parameters": {}}']),
    (LLAMA, '{"answer": 42}', ['{"answer": 42}']),
    (LLAMA, "Hello {there}", ["Hello {there}"]),
    (PLAIN, PARIS, [CALL]),
    (PLAIN, f"```json\n{PARIS}\n```", [CALL]),
    (PLAIN, f"[{PARIS}, {ROME}]", [CALL, OTHER]),
    (PLAIN, "```\nprint(1)\n```", ["```\nprint(1)\n```"]),
    (
        PLAIN,
        '{"type": "function", "function": {"name": "weather", "arguments": "{}"}}',
        [Call("weather", "{}")],
    ),
    (PLAIN, "", []),
    (PLAIN, "  ", ["  "]),
]


def joined(pieces: list[Piece]) -> list[Piece]:
    """Neighbouring texts as one: how a text is cut is no part of the answer."""
    out: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, str) and out and isinstance(out[-1], str):
            out[-1] += piece
        else:
            out.append(piece)
    return out


def read(convention: Convention, pieces: list[str]) -> list[Piece]:
    reader = CallReader(convention, {"weather"})
    out: list[Piece] = []
    for piece in pieces:
        out += reader.feed(piece)
    return joined(out + reader.finish())


@pytest.mark.parametrize(("convention", "text", "expected"), READ, ids=lambda value: str(value)[:50])
def test_an_answer_is_read_into_text_and_calls(
    convention: Convention, text: str, expected: list[Piece]
) -> None:
    assert read(convention, [text]) == joined(expected)


@pytest.mark.parametrize(("convention", "text", "expected"), READ, ids=lambda value: str(value)[:50])
def test_a_character_at_a_time_reads_the_same(
    convention: Convention, text: str, expected: list[Piece]
) -> None:
    assert read(convention, list(text)) == joined(expected)


@given(
    st.sampled_from([HERMES, MISTRAL, PHI, LLAMA, PLAIN]),
    st.lists(
        st.sampled_from(["<tool_call>", "</tool", "_call>", "[TOOL_CALLS]", PARIS, BARE, "{", "a", " "])
    ),
    st.integers(1, 9),
)
def test_however_it_is_cut_the_same_is_read(convention: Convention, parts: list[str], size: int) -> None:
    text = "".join(parts)
    cut = [text[at : at + size] for at in range(0, len(text), size)]
    assert read(convention, cut) == read(convention, [text])


def test_text_is_held_back_only_while_a_call_may_begin() -> None:
    reader = CallReader(HERMES, {"weather"})
    assert reader.feed("a <to") == ["a "]
    assert reader.feed("ast>") == ["<toast>"]
    bare = CallReader(LLAMA, {"weather"})
    assert bare.feed('{"na') == []
    assert bare.feed('mes": ') == ['{"names": ']
    assert bare.feed('{"name"') == ['{"name"']


def test_special_tokens_are_no_text_but_for_the_markers() -> None:
    convention = replace(MISTRAL, special=frozenset({"<s>", "[INST]", "[TOOL_CALLS]"}))
    assert convention.keep_special
    assert read(convention, ["<s>", "hi", "[INST]", f"[TOOL_CALLS][{PARIS}]"]) == ["hi", CALL]
    assert not HERMES.keep_special


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"name": "f"}', [Call("f", "{}")]),
        ('{"name": "f", "arguments": null}', [Call("f", "{}")]),
        ('{"name": "f", "arguments": "{\\"a\\": 1}"}', [Call("f", '{"a": 1}')]),
        ('{"name": "f", "arguments": "rain"}', None),
        ('{"name": "f", "arguments": [1]}', None),
        ('{"name": 3}', None),
        ('{"name": "é", "arguments": {"é": "ü"}}', [Call("é", '{"é": "ü"}')]),
        ("{}", None),
        ("[]", None),
        ("", None),
        ("x", None),
        ("[" * 5000, None),
    ],
)  # fmt: skip
def test_what_is_no_call_is_none(text: str, expected: list[Call] | None) -> None:
    assert parse_calls(text) == expected


class Templated(EchoTokenizer):
    def __init__(self, template: str) -> None:
        self.chat_template = template


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{{ tools }} <tool_call>", "hermes"),
        ("[AVAILABLE_TOOLS]{{ tools }}[TOOL_CALLS]", "mistral"),
        ("<|tool|>{{ tools }}<|tool_call|>", "phi"),
        ("Environment: ipython {{ tools }}", "llama"),
        ("{{ tools }}<|python_tag|>", "llama"),
        ("{{ tools }}", "plain"),
    ],
)
def test_the_template_tells_how_calls_are_written(template: str, name: str) -> None:
    assert convention_of(Templated(template)).name == name


@pytest.mark.parametrize(
    "template", ["<|user|>", "{{ tools }}<tool_call><function=x>", "{{ tools }}<arg_key>"]
)
def test_a_template_whose_calls_cannot_be_read_takes_no_tools(template: str) -> None:
    with pytest.raises(BadRequest, match="without"):
        convention_of(Templated(template))


class WithMarker(Templated):
    """A tokenizer in which `[TOOL_CALLS]` is one special token, and `[ARGS]` one that is none."""

    added_tokens = frozenset({"[TOOL_CALLS]", "[ARGS]", "<pad>"})
    IDS: ClassVar = {"[TOOL_CALLS]": 7, "[ARGS]": 8}

    @override
    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        return [self.IDS[text]] if text in self.IDS else [ord(character) for character in text]

    @override
    def text_stream(self, context: Sequence[int], *, clean_up: bool, keep_special: bool = False) -> EchoText:
        return HidesMarker()


class HidesMarker(EchoText):
    @override
    def push(self, token_id: int) -> str:
        return "" if token_id == 7 else super().push(token_id)


def test_a_marker_that_is_a_special_token_is_asked_for_by_its_id() -> None:
    tokenizer = WithMarker("{{ tools }}[TOOL_CALLS]")
    convention = convention_of(tokenizer)
    assert convention.special == {"[TOOL_CALLS]"}
    assert convention.keep_special
    grammar = call_grammar(convention, tokenizer, FUNCTIONS, several=False)
    assert 'calls: <[7]> "[" one' in grammar.text
    validate_grammar(grammar)


FUNCTIONS = [
    FunctionDefinition(
        name="weather",
        parameters={
            "type": "object",
            "properties": {"city": {"$ref": "#/$defs/City"}},
            "$defs": {"City": {"enum": ["Paris", "Rome"]}},
        },
    ),
    FunctionDefinition(name="do.it-now"),
]


@pytest.mark.parametrize("several", [True, False])
@pytest.mark.parametrize("convention", [HERMES, MISTRAL, PHI, LLAMA, PLAIN], ids=lambda one: one.name)
def test_the_grammar_of_calls_is_one_that_can_be_kept_to(convention: Convention, several: bool) -> None:
    tokenizer = EchoTokenizer()
    grammar = call_grammar(convention, tokenizer, FUNCTIONS, several=several)
    validate_grammar(grammar)
    assert ("{0,7}" in grammar.text) is several
    validate_grammar(answer_or_calls(convention, tokenizer, FUNCTIONS, {"type": "object"}, several=several))


def test_a_schema_that_cannot_be_kept_to_is_refused_where_it_is_strict() -> None:
    odd: dict[str, Any] = {"type": "array", "uniqueItems": True}
    lenient = FunctionDefinition(name="f", parameters={"properties": {"a": odd}})
    validate_grammar(call_grammar(HERMES, EchoTokenizer(), [lenient], several=False))
    strict = FunctionDefinition(name="f", parameters={"properties": {"a": odd}}, strict=True)
    with pytest.raises(BadRequest, match="uniqueItems"):
        validate_grammar(call_grammar(HERMES, EchoTokenizer(), [strict], several=False))


def test_arguments_stay_what_they_were() -> None:
    given_ = {"a": [1, 2.5, None, True], "b": {"c": "\u00e9\n"}}
    text = json.dumps({"name": "f", "arguments": given_})
    calls = parse_calls(text)
    assert calls is not None
    assert json.loads(calls[0].arguments) == given_
