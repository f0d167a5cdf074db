"""Chunks and bodies, as OpenAI's clients read them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from openai.types import Completion as OpenAiCompletion
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from inference_server.echo_engine import EchoTokenizer
from inference_server.engine import FinishReason, Token
from inference_server.http.openai.answers import ChatCompletion as OwnChat
from inference_server.http.openai.answers import Completion as OwnCompletion
from inference_server.http.openai.chat_writer import ChatWriter
from inference_server.http.openai.completion_writer import CompletionWriter
from inference_server.http.openai.tools.conventions import HERMES
from inference_server.http.openai.tools.reader import CallReader
from inference_server.http.openai.writer import Heading
from inference_server.scheduling.stream import Answer, Delta, GenerationResult

CALL = '<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>'


def token(text: str, logprob: float = -0.5, *, is_end: bool = False) -> Token:
    return Token(ord(text), is_end, logprob, ((ord(text), logprob), (ord("?"), float("-inf"))))


def chat_writer(*, usage: bool = False, logprobs: bool = False, tools: bool = False) -> ChatWriter:
    return ChatWriter(
        Heading("chatcmpl", "chat.completion.chunk", 'a "model"', "fp_1"),
        EchoTokenizer(),
        includes_usage=usage,
        logprobs=logprobs,
        reader=(lambda: CallReader(HERMES, {"f"})) if tools else None,
        new_id=lambda: "call_1",
    )


def completion_writer(
    echoes: Sequence[str] = ("",), *, logprobs: bool = False, choices: int = 1
) -> CompletionWriter:
    heading = Heading("cmpl", "text_completion", "m", "fp_1")
    return CompletionWriter(
        heading, EchoTokenizer(), echoes, includes_usage=False, logprobs=logprobs, choices=choices
    )


def parsed(events: str) -> list[dict[str, Any]]:
    assert events.endswith("\n\n")
    lines = events[:-2].split("\n\n")
    assert all(line.startswith("data: ") and "\n" not in line for line in lines)
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def deltas(events: str) -> list[dict[str, Any]]:
    return [chunk["choices"][0]["delta"] for chunk in parsed(events)]


def result(*texts: str, finish: FinishReason = "stop") -> GenerationResult:
    answers = [Answer((*map(token, text), Token(3, is_end=True)), text, finish) for text in texts]
    return GenerationResult(5, tuple(answers))


HARD = 'a"b\\c\n\r\u2028\u0000 é 😀 </script> data: x\n\n'


def test_a_chunk_is_what_the_official_client_reads() -> None:
    writer = chat_writer()
    events = writer.events(0, [Delta(0, HARD, token("a"))]) + writer.events(0, [Delta(0, HARD, token("a"))])
    chunks = parsed(events)
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk, strict=True)
    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [
        {"role": "assistant", "content": ""},
        {"content": HARD},
        {"content": HARD},
    ]
    assert {chunk["model"] for chunk in chunks} == {'a "model"'}
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert "usage" not in chunks[0]


def test_pieces_that_came_together_are_one_chunk_for_each_choice() -> None:
    writer = chat_writer()
    pieces = [Delta(0, "a", None), Delta(1, "x", None), Delta(0, "b", None), Delta(1, "", None, "length")]
    chunks = [(c["choices"][0]["index"], c["choices"][0]) for c in parsed(writer.events(0, pieces))]
    assert [index for index, _ in chunks] == [0, 0, 1, 1, 1]
    assert chunks[1][1]["delta"] == {"content": "ab"}
    assert chunks[4][1]["finish_reason"] == "length"


def test_a_token_without_text_is_no_chunk() -> None:
    writer = chat_writer()
    writer.events(0, [Delta(0, "a", None)])
    assert writer.events(0, [Delta(0, "", token("a"))]) == ""


def test_usage_is_announced_in_each_chunk_and_told_in_one_without_choices() -> None:
    writer = chat_writer(usage=True)
    assert all(chunk["usage"] is None for chunk in parsed(writer.events(0, [Delta(0, "a", None)])))
    (last,) = parsed(writer.usage_event(7, 3))
    assert last["choices"] == []
    assert last["usage"] == {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    ChatCompletionChunk.model_validate(last, strict=True)


def test_logprobs_come_with_the_chunk_of_their_tokens_and_hold_no_infinity() -> None:
    writer = chat_writer(logprobs=True)
    pieces = [Delta(0, "é", token("é")), Delta(0, "", token("\x03", is_end=True), "stop")]
    chunks = parsed(writer.events(0, pieces))
    (content,) = [c["choices"][0]["logprobs"] for c in chunks if c["choices"][0]["logprobs"]]
    assert content["content"] == [
        {
            "token": "é",
            "logprob": -0.5,
            "bytes": [0xC3, 0xA9],
            "top_logprobs": [
                {"token": "é", "logprob": -0.5, "bytes": [0xC3, 0xA9]},
                {"token": "?", "logprob": -9999.0, "bytes": [0x3F]},
            ],
        }
    ]


def test_a_call_is_streamed_with_its_name_first() -> None:
    writer = chat_writer(tools=True)
    events = "".join(writer.events(0, [Delta(0, character, None)]) for character in f"Hm. {CALL}")
    events += writer.events(0, [Delta(0, "", token("\x03", is_end=True), "stop")])
    chunks = parsed(events)
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk, strict=True)
    told = [delta for delta in deltas(events) if delta]
    assert "".join(delta.get("content") or "" for delta in told) == "Hm. "
    opened, filled = [delta["tool_calls"][0] for delta in told if "tool_calls" in delta]
    assert opened == {
        "index": 0,
        "id": "call_1",
        "type": "function",
        "function": {"name": "f", "arguments": ""},
    }
    assert filled == {"index": 0, "function": {"arguments": '{"a": 1}'}}
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_a_second_call_has_the_next_index() -> None:
    writer = chat_writer(tools=True)
    events = writer.events(0, [Delta(0, CALL, None)]) + writer.events(0, [Delta(0, CALL, None, "stop")])
    calls = [delta["tool_calls"][0]["index"] for delta in deltas(events) if "tool_calls" in delta]
    assert calls == [0, 0, 1, 1]


def test_calls_that_come_together_with_the_end_are_told_apart() -> None:
    events = chat_writer(tools=True).events(0, [Delta(0, CALL + CALL, None, "stop")])
    chunks = parsed(events)
    calls = [delta["tool_calls"][0]["index"] for delta in deltas(events) if "tool_calls" in delta]
    assert calls == [0, 0, 1, 1]
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_a_call_in_a_whole_answer_leaves_no_content() -> None:
    body = chat_writer(tools=True).body([result(CALL)])
    (choice,) = ChatCompletion.model_validate(body, strict=True).choices
    assert choice.message.content is None
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls is not None
    assert choice.message.tool_calls[0].id == "call_1"
    OwnChat.model_validate(body, strict=True)


def test_calls_that_were_cut_off_say_length() -> None:
    body = chat_writer(tools=True).body([result(CALL + "<tool_call>{", finish="length")])
    assert body["choices"][0]["finish_reason"] == "length"  # type: ignore[index]


@pytest.mark.parametrize("logprobs", [True, False])
def test_a_whole_chat_answer_is_what_client_and_description_say(logprobs: bool) -> None:
    body = json.loads(json.dumps(chat_writer(logprobs=logprobs).body([result("ab", "c")])))
    ChatCompletion.model_validate(body, strict=True)
    OwnChat.model_validate(body, strict=True)
    assert [choice["message"]["content"] for choice in body["choices"]] == ["ab", "c"]
    assert body["usage"] == {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10}
    assert body["object"] == "chat.completion"


@pytest.mark.parametrize("logprobs", [True, False])
def test_a_whole_completion_is_what_client_and_description_say(logprobs: bool) -> None:
    writer = completion_writer(["p", "q"], logprobs=logprobs, choices=2)
    body = json.loads(json.dumps(writer.body([result("ab", "c"), result("d", "e")])))
    OpenAiCompletion.model_validate(body, strict=True)
    OwnCompletion.model_validate(body, strict=True)
    assert [(one["index"], one["text"]) for one in body["choices"]] == [
        (0, "pab"),
        (1, "pc"),
        (2, "qd"),
        (3, "qe"),
    ]
    assert body["usage"]["prompt_tokens"] == 10


def test_logprobs_of_a_completion_have_offsets_that_go_on_from_chunk_to_chunk() -> None:
    writer = completion_writer(logprobs=True)
    events = writer.events(0, [Delta(0, "ab", token("a")), Delta(0, "", token("b"))])
    events += writer.events(0, [Delta(0, "c", token("c"), "stop")])
    shapes = [chunk["choices"][0]["logprobs"] for chunk in parsed(events)]
    assert [shape["text_offset"] for shape in shapes if shape] == [[0, 1], [2]]
    assert shapes[0]["tokens"] == ["a", "b"]
    assert shapes[0]["top_logprobs"][0] == {"a": -0.5, "?": -9999.0}


def test_the_echo_stands_before_the_first_piece_of_each_choice() -> None:
    writer = completion_writer(["p", "q"], choices=1)
    events = writer.events(1, [Delta(0, "a", None)]) + writer.events(1, [Delta(0, "b", None, "stop")])
    texts = [(c["choices"][0]["index"], c["choices"][0]["text"]) for c in parsed(events)]
    assert texts == [(1, "qa"), (1, "b"), (1, "")]
