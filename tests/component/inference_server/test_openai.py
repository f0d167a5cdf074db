"""OpenAI's routes, asked by OpenAI's own client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionChunk

from tests.component.inference_server.conftest import Tiny
from tests.component.inference_server.process import ServerProcess, wait_for

pytestmark = pytest.mark.component
TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather of a city.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string", "maxLength": 20}},
                "required": ["city"],
                "additionalProperties": False,
            },
        },
    }
]
CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call>'
# Ours, in the convention of Hermes: SmolLM2's own template takes no tools.
TOOL_TEMPLATE = (
    "{% if tools %}<|im_start|>system\nFunctions: {% for tool in tools %}{{ tool | tojson }}{% endfor %}"
    '\nCall one: <tool_call>{"name": ..., "arguments": ...}</tool_call><|im_end|>\n{% endif %}'
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def connect(server: ServerProcess, key: str = "unused") -> openai.OpenAI:
    """OpenAI's client of this server; it sends nothing twice, so that every error is seen."""
    http = openai.DefaultHttpxClient(trust_env=False, timeout=300)
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0, http_client=http)


def user(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


@pytest.fixture(scope="module")
def tool_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """An echo that takes tools, and the keys `alpha` and `beta`."""
    folder = tmp_path_factory.mktemp("tool-echo")
    (folder / "keys").mkdir()
    (folder / "keys" / "first").write_text("alpha\n")
    (folder / "keys" / "second").write_text("beta")
    started = ServerProcess(
        *("--workspace-name", "shop", "--api-keys", str(folder / "keys"), "--max-queue", "0"),
        *("--max-concurrency", "16", "--adapters", str(folder / "none")),
        log=folder / "termination-log",
        module="tests.component.inference_server.tool_echo",
    )
    try:
        started.wait_ready()
        yield started
    finally:
        started.stop()


@pytest.fixture
def echo(tool_server: ServerProcess) -> Iterator[openai.OpenAI]:
    with connect(tool_server, "beta") as client:
        yield client


@pytest.fixture
def model(running: ServerProcess) -> Iterator[openai.OpenAI]:
    with connect(running) as client:
        yield client


def texts(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def test_models_are_listed_and_found_by_name(model: openai.OpenAI) -> None:
    listed = list(model.models.list())
    assert [one.id for one in listed] == ["shop", "shop:base"]
    assert model.models.retrieve("shop:base").id == "shop:base"
    with pytest.raises(openai.NotFoundError) as raised:
        model.models.retrieve("shop/other")
    assert raised.value.code == "model_not_found"
    assert "shop:base" in raised.value.message


def test_a_greedy_answer_is_what_generate_says_itself(model: openai.OpenAI, made: Tiny) -> None:
    answer = model.chat.completions.create(
        model="shop", messages=user(made.expected["endless"]), temperature=0, max_tokens=40
    )
    assert answer.choices[0].message.content == made.expected["text"]
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (4, 40)


def test_the_streamed_answer_is_the_same_with_its_usage_at_the_end(model: openai.OpenAI, made: Tiny) -> None:
    chunks = list(
        model.chat.completions.create(
            model="shop",
            messages=user(made.expected["endless"]),
            temperature=0,
            max_completion_tokens=40,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert texts(chunks) == made.expected["text"]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "length"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 44


def test_without_a_limit_the_answer_goes_on_to_its_end_or_the_context(
    model: openai.OpenAI, made: Tiny
) -> None:
    prompt = " ".join(["w5"] * 1900 + [made.expected["endless"]])
    answer = model.chat.completions.create(
        model="shop", messages=user(prompt), temperature=0, extra_body={"ignore_eos": True}
    )
    assert answer.usage is not None
    assert answer.usage.total_tokens == made.expected["context"]
    ended = model.chat.completions.create(
        model="shop", messages=user(made.expected["tokenizer"]["word"]), temperature=0
    )
    assert ended.choices[0].finish_reason == "stop"


def test_a_completion_goes_on_with_texts_and_token_ids(model: openai.OpenAI, made: Tiny) -> None:
    prompt = f"<|user|> {made.expected['endless']} <|end|> <|assistant|>"
    expected = made.expected["text"].split()[:16]
    by_text = model.completions.create(model="shop", prompt=[prompt, prompt], temperature=0)
    assert [choice.text.split() for choice in by_text.choices] == [expected, expected]
    ids = [4, 7 + int(made.expected["endless"][1:]), 6, 5]
    by_ids = model.completions.create(model="shop", prompt=ids, temperature=0, logprobs=2)
    assert by_ids.choices[0].text.split() == expected
    logprobs = by_ids.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.tokens is not None
    assert len(logprobs.tokens) == 16
    assert all(len(top) == 2 for top in logprobs.top_logprobs or [])
    with pytest.raises(openai.BadRequestError, match="does not exist"):
        model.completions.create(model="shop", prompt=[5000])


def test_choices_differ_and_a_seed_repeats_them(model: openai.OpenAI) -> None:
    def draw(seed: int) -> list[str | None]:
        answer = model.chat.completions.create(
            model="shop", messages=user("w9"), n=3, seed=seed, temperature=2, max_tokens=12
        )
        return [choice.message.content for choice in answer.choices]

    assert draw(1) == draw(1)
    assert len(set(draw(1))) == 3
    assert draw(1) != draw(-7)


def test_logprobs_are_those_of_the_model(model: openai.OpenAI, made: Tiny) -> None:
    answer = model.chat.completions.create(
        model="shop",
        messages=user(made.expected["endless"]),
        temperature=0,
        max_tokens=5,
        logprobs=True,
        top_logprobs=3,
    )
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    content = logprobs.content or []
    assert [entry.token for entry in content] == made.expected["text"].split()[:5]
    for entry in content:
        best = [top.logprob for top in entry.top_logprobs]
        assert best == sorted(best, reverse=True)
        assert entry.logprob == best[0] <= 0  # the likeliest was chosen


def test_a_stop_text_ends_an_answer_and_a_bias_keeps_a_token_out(model: openai.OpenAI, made: Tiny) -> None:
    words = made.expected["text"].split()
    messages = user(made.expected["endless"])
    stopped = model.chat.completions.create(
        model="shop", messages=messages, temperature=0, stop=[f"{words[3]} {words[4]}"]
    )
    assert (stopped.choices[0].message.content or "").split() == words[:3]
    banned = str(7 + int(words[0][1:]))
    biased = model.chat.completions.create(
        model="shop", messages=messages, temperature=0, max_tokens=8, logit_bias={banned: -100}
    )
    assert words[0] not in (biased.choices[0].message.content or "").split()


def test_extensions_are_taken_through_extra_body(model: openai.OpenAI, made: Tiny) -> None:
    answer = model.chat.completions.create(
        model="shop",
        messages=user(made.expected["endless"]),
        max_tokens=40,
        extra_body={"top_k": 1, "min_p": 0.0, "repetition_penalty": 1.0, "typical_p": 1.0},
    )
    assert answer.choices[0].message.content == made.expected["text"]
    endless = model.chat.completions.create(
        model="shop",
        messages=user(made.expected["tokenizer"]["word"]),
        temperature=0,
        max_tokens=90,
        extra_body={"ignore_eos": True},
    )
    assert endless.choices[0].finish_reason == "length"


def test_a_prompt_that_fills_the_context_has_openais_code(model: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="shorten the prompt") as raised:
        model.chat.completions.create(model="shop", messages=user("w1 " * 3000))
    assert raised.value.code == "context_length_exceeded"


def test_a_model_that_is_not_served_is_a_404(model: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as raised:
        model.chat.completions.create(model="gpt-4o", messages=user("w1"))
    assert (raised.value.code, raised.value.param) == ("model_not_found", "model")


def test_a_template_without_tools_says_so(model: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="no place for tools"):
        model.chat.completions.create(model="shop", messages=user("w1"), tools=TOOLS)


def test_no_key_or_a_wrong_one_is_a_401(tool_server: ServerProcess, echo: openai.OpenAI) -> None:
    assert echo.models.list().data
    with connect(tool_server, "gamma") as wrong, pytest.raises(openai.AuthenticationError) as raised:
        wrong.models.list()
    assert raised.value.code == "invalid_api_key"
    assert "gamma" not in tool_server.text()


def test_a_call_is_read_from_an_answer(echo: openai.OpenAI) -> None:
    answer = echo.chat.completions.create(model="shop", messages=user(CALL), tools=TOOLS)
    (choice,) = answer.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    (call,) = choice.message.tool_calls or []
    assert call.type == "function"
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"city": "Paris"})
    plain = echo.chat.completions.create(model="shop", messages=user(CALL), tools=TOOLS, tool_choice="none")
    assert plain.choices[0].message.content == CALL


def test_a_streamed_call_is_put_together_by_the_client(echo: openai.OpenAI) -> None:
    with echo.chat.completions.stream(model="shop", messages=user(f"Hm. {CALL}"), tools=TOOLS) as stream:
        for _ in stream:
            pass
        message = stream.get_final_completion().choices[0].message
    assert message.content == "Hm. "
    (call,) = message.tool_calls or []
    assert call.function.name == "weather"
    assert json.loads(call.function.arguments) == {"city": "Paris"}


def test_a_result_goes_back_to_the_model(echo: openai.OpenAI) -> None:
    first = echo.chat.completions.create(model="shop", messages=user(CALL), tools=TOOLS)
    message = first.choices[0].message
    (call,) = message.tool_calls or []
    answer = echo.chat.completions.create(
        model="shop",
        messages=[
            *user("What is the weather?"),
            message.to_dict(),  # type: ignore[list-item]
            {"role": "tool", "tool_call_id": call.id, "content": "rain"},
        ],
        tools=TOOLS,
    )
    assert answer.choices[0].message.content == "What is the weather?"


def test_more_than_may_wait_is_a_429_with_retry_after(tool_server: ServerProcess) -> None:
    """16 answers at a time, and none may wait."""
    long = {"messages": user("x" * 500), "max_tokens": 3000, "ignore_eos": True, "stream": True, "n": 16}
    headers = {"Authorization": "Bearer alpha"}
    with (
        connect(tool_server, "alpha") as client,
        tool_server.client() as http,
        http.stream("POST", "/v1/chat/completions", json=long, headers=headers) as first,
    ):
        pieces = first.iter_bytes()  # a name: dropped, it would close the connection
        next(pieces)
        with pytest.raises(openai.RateLimitError) as raised:
            client.chat.completions.create(model="shop", messages=user("x"))
    assert raised.value.code == "rate_limit_exceeded"
    assert int(raised.value.response.headers["Retry-After"]) >= 1


def test_a_client_that_leaves_ends_its_stream(tool_server: ServerProcess, echo: openai.OpenAI) -> None:
    before = len(tool_server.lines)
    stream = echo.chat.completions.create(
        model="shop", messages=user("x" * 100), stream=True, extra_body={"ignore_eos": True}
    )
    next(iter(stream))
    stream.close()

    def left() -> bool:
        return any(line.get("code") == 499 for line in tool_server.lines[before:])

    wait_for(left, 10, "a log line with 499")


def test_no_prompt_and_no_answer_is_logged(tool_server: ServerProcess, echo: openai.OpenAI) -> None:
    secret = "a-word-that-no-log-may-have"
    echo.chat.completions.create(model="shop", messages=user(secret), user=secret, metadata={"a": secret})
    echo.completions.create(model="shop", prompt=secret)
    with pytest.raises(openai.BadRequestError):
        echo.chat.completions.create(model="shop", messages=user(secret), temperature=9, stop=secret)
    assert secret not in tool_server.text()


@pytest.fixture(scope="module")
def tool_model(smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """SmolLM2 with a template that takes tools."""
    folder = tmp_path_factory.mktemp("smollm2")
    for file in (smollm2).iterdir():
        if file.name not in ("chat_template.jinja", "tokenizer_config.json"):
            (folder / file.name).symlink_to(file)
    config = json.loads((smollm2 / "tokenizer_config.json").read_text())
    config["chat_template"] = TOOL_TEMPLATE
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    started = ServerProcess(
        *("--model", str(folder), "--workspace-name", "shop", "--adapters", str(folder / "none")),
        log=tmp_path_factory.mktemp("log") / "termination-log",
    )
    try:
        started.wait_ready()
        yield started
    finally:
        started.stop()


def test_a_required_call_keeps_to_the_functions_schema(tool_model: ServerProcess) -> None:
    with connect(tool_model) as client:
        for choice in ("required", {"type": "function", "function": {"name": "weather"}}):
            answer = client.chat.completions.create(
                model="shop",
                messages=user("What is the weather in Paris?"),
                tools=TOOLS,
                tool_choice=choice,  # type: ignore[call-overload]
                parallel_tool_calls=False,
                temperature=0,
                max_tokens=80,
            )
            assert answer.choices[0].finish_reason == "tool_calls"
            (call,) = answer.choices[0].message.tool_calls
            assert call.function.name == "weather"
            arguments = json.loads(call.function.arguments)
            assert list(arguments) == ["city"]
            assert len(arguments["city"]) <= 20


def test_an_answer_keeps_to_a_json_schema(tool_model: ServerProcess) -> None:
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 12},
            "age": {"type": "integer", "minimum": 0, "maximum": 150},
        },
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    with connect(tool_model) as client:
        answer = client.chat.completions.create(
            model="shop",
            messages=user("Ada is 36 years old."),
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "a", "schema": schema, "strict": True},
            },
            temperature=1.5,
            n=2,
            seed=3,
            max_tokens=80,
        )
        for choice in answer.choices:
            told = json.loads(choice.message.content or "")
            assert set(told) == {"name", "age"}
            assert isinstance(told["name"], str)
            assert 0 <= told["age"] <= 150
        with pytest.raises(openai.BadRequestError, match="the JSON schema cannot be kept to: Invalid type"):
            client.chat.completions.create(
                model="shop",
                messages=user("x"),
                response_format={
                    "type": "json_schema",
                    "json_schema": {"name": "a", "schema": {"type": "fruit"}},
                },
            )
