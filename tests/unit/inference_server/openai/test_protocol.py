"""Which bodies are taken, and with what sentence others are refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from inference_server.http.openai.messages import Message, for_template
from inference_server.http.openai.protocol import ChatCompletionRequest, CompletionRequest
from inference_server.http.openai.refusals import error_body, problems

HELLO = [{"role": "user", "content": "hello"}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def chat(**fields: Any) -> ChatCompletionRequest:
    return ChatCompletionRequest.model_validate({"messages": HELLO, **fields})


def refused(
    model: type[ChatCompletionRequest] | type[CompletionRequest], body: Any
) -> tuple[str, str | None]:
    with pytest.raises(ValidationError) as raised:
        model.model_validate(body)
    return problems(raised.value.errors())


TAKEN: list[dict[str, Any]] = [
    {},
    {"temperature": 0},
    {"temperature": 2, "top_p": 0, "n": 16, "seed": -1},
    {"stop": "x"},
    {"stop": ["x"] * 8},
    {"stop": None, "n": None, "model": None, "stream": None, "tools": None},
    {"logit_bias": {"5": -100, "17": 2.5}},
    {"logprobs": True, "top_logprobs": 20},
    {"stream": True, "stream_options": {"include_usage": True, "include_obfuscation": False}},
    {"response_format": {"type": "text"}},
    {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}},
    {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}},
    {"tools": [], "tool_choice": "auto"},
    {"user": "someone", "metadata": {"a": "b"}, "store": False, "a_field_of_tomorrow": [1]},
    {"messages": [{"role": "developer", "content": [{"type": "text", "text": "a"}]}, *HELLO]},
]


@pytest.mark.parametrize("fields", TAKEN, ids=lambda fields: str(fields)[:60])
def test_what_openai_takes_is_taken(fields: dict[str, Any]) -> None:
    chat(**fields)


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"temperature": "0.5"}, "temperature", "valid number"),
    ({"temperature": -1}, "temperature", "greater than or equal to 0"),
    ({"temperature": float("nan")}, "temperature", "finite"),
    ({"n": 17}, "n", "less than or equal to 16"),
    ({"n": True}, "n", "valid integer"),
    ({"max_tokens": 0}, "max_tokens", "greater than or equal to 1"),
    ({"stop": [""]}, "stop.0", "at least 1 character"),
    ({"stop": ["x"] * 9}, "stop", "at most 8 items"),
    ({"logit_bias": {"x": 1}}, "logit_bias", "token ids in decimal digits"),
    ({"logit_bias": {"1": 101}}, "logit_bias", "from -100 to 100"),
    ({"top_logprobs": 3}, "", "top_logprobs needs logprobs true"),
    ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "less than or equal to 20"),
    ({"stream_options": {"include_usage": True}}, "", "only for stream true"),
    ({"messages": []}, "messages", "at least 1 item"),
    ({"messages": [{"role": "user"}]}, "messages.0", "needs content"),
    ({"messages": [{"role": "wizard", "content": "x"}]}, "messages.0.role", "'system', 'developer', 'user'"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0", "needs tool_call_id"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages.0.content", "valid string"),
    ({"messages": [{"role": "user", "content": []}]}, "messages.0.content", "an empty list"),
    (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
        "messages.0.content",
        "part 0 is of type image_url; this server reads text only",
    ),
    ({"messages": [{"role": "user", "content": "\ud800"}]}, "messages.0.content", "half of a surrogate pair"),
    ({"response_format": {"type": "json_schema"}}, "response_format", "needs the schema"),
    ({"response_format": {"type": "grammar"}}, "response_format.type", "'json_schema'"),
    ({"tools": [TOOL, TOOL]}, "", "two tools have the same name"),
    ({"tools": [{"type": "search"}]}, "tools.0.type", "'function'"),
    ({"tool_choice": "required"}, "", "there are no tools"),
    ({"tools": [TOOL], "tool_choice": "maybe"}, "tool_choice", '"required", or {"type"'),
    ({"tools": [TOOL], "tool_choice": ["auto"]}, "tool_choice", '"none", "auto", "required"'),
    (
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}},
        "",
        "names a function that is not among the tools",
    ),
    ({"repetition_penalty": 0}, "repetition_penalty", "greater than 0"),
    ({"seed": 2**63}, "seed", "less than"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "param", "sentence"), REFUSED, ids=lambda value: str(value)[:50])
def test_what_is_wrong_is_told_with_its_field(fields: dict[str, Any], param: str, sentence: str) -> None:
    told, field = refused(ChatCompletionRequest, {"messages": HELLO, **fields})
    assert sentence in told
    assert (field or "") == param
    assert told.startswith(f"{param}: ") or not param


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"properties": value}
    return value


def test_a_schema_that_is_nested_too_deep_is_refused() -> None:
    chat(response_format={"type": "json_schema", "json_schema": {"schema": nested(60)}})
    body = {
        "messages": HELLO,
        "tools": [{"type": "function", "function": {"name": "f", "parameters": nested(65)}}],
    }
    assert "nested deeper than 64 levels" in refused(ChatCompletionRequest, body)[0]


def test_no_value_of_the_client_comes_back() -> None:
    secret = "what-nobody-may-read"
    told, _ = refused(
        ChatCompletionRequest, {"messages": [{"role": secret, "content": [secret]}], "n": secret}
    )
    assert secret not in told


def test_a_key_of_the_client_can_be_sent_back() -> None:
    told, _ = refused(ChatCompletionRequest, {"messages": HELLO, "logit_bias": {"\ud800" * 9999: "x"}})
    told.encode()
    assert len(told) < 400


@pytest.mark.parametrize("body", [[], "x", None, 5])
def test_a_body_that_is_no_object_is_told_so(body: Any) -> None:
    assert "has to be a JSON object" in refused(ChatCompletionRequest, body)[0]


@pytest.mark.parametrize(
    ("prompt", "prompts"),
    [
        ("a", ["a"]),
        (["a", "b"], ["a", "b"]),
        ([1, 2], [[1, 2]]),
        ([[1], [2, 3]], [[1], [2, 3]]),
    ],
)
def test_all_four_forms_of_a_prompt_are_taken(prompt: Any, prompts: list[Any]) -> None:
    assert CompletionRequest.model_validate({"prompt": prompt}).prompts == prompts


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "prompt: this field is needed"),
        ({"prompt": []}, "send a text"),
        ({"prompt": None}, "send a text"),
        ({"prompt": {"a": 1}}, "send a text"),
        ({"prompt": [1, "a"]}, "token ids"),
        ({"prompt": [-1]}, "token ids"),
        ({"prompt": [True]}, "token ids"),
        ({"prompt": [[1.5]]}, "token ids"),
        ({"prompt": ["a"] * 33}, "32 are allowed"),
        ({"prompt": "\udc00"}, "surrogate"),
        ({"prompt": "a", "suffix": "b"}, "suffix: not offered"),
        ({"prompt": "a", "best_of": 2}, "best_of has to equal n"),
        ({"prompt": "a", "logprobs": 6}, "less than or equal to 5"),
        ({"prompt": "a", "logprobs": 1, "echo": True}, "do not go with echo"),
    ],
)
def test_a_completion_that_is_wrong_is_told_so(fields: dict[str, Any], sentence: str) -> None:
    assert sentence in refused(CompletionRequest, fields)[0]


def test_messages_become_what_templates_read() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    messages = [
        {"role": "developer", "content": "Be kind."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            "name": "Ann",
        },
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "42", "tool_call_id": "c1"},
    ]
    assert for_template([Message.model_validate(message) for message in messages]) == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "a\nb"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": {"a": 1}}}
            ],
        },
        {"role": "tool", "content": "42", "tool_call_id": "c1", "name": "f"},
    ]


@pytest.mark.parametrize(
    ("status", "type_", "code"),
    [
        (400, "invalid_request_error", None),
        (401, "invalid_request_error", "invalid_api_key"),
        (404, "invalid_request_error", "model_not_found"),
        (408, "timeout", "request_timeout"),
        (413, "invalid_request_error", "request_too_large"),
        (429, "requests", "rate_limit_exceeded"),
        (500, "server_error", None),
        (503, "server_error", "service_unavailable"),
    ],
)
def test_each_status_has_openais_type_and_code(status: int, type_: str, code: str | None) -> None:
    expected = {"error": {"message": "m", "type": type_, "param": None, "code": code}}
    assert error_body(status, "m") == expected
