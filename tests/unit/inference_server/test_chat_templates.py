"""Chat templates of GGUF files: the helpers that transformers gives them, and no way out of the sandbox."""

from __future__ import annotations

import re
from typing import Any

import pytest
from jinja2.exceptions import TemplateError

from inference_server.errors import BadRequest
from inference_server.llama_engine.templates import ChatTemplate

USER = [{"role": "user", "content": "hi"}]
TOOL: dict[str, Any] = {"type": "function", "function": {"name": "f", "description": "a<b & é"}}


def rendered(text: str, for_tools: str | None = None, **arguments: Any) -> str:
    template = ChatTemplate(text, for_tools or text, {"bos_token": "<s>", "eos_token": "</s>"})
    return template.render(arguments.get("messages", USER), arguments.get("tools", []))


def test_messages_and_special_tokens_are_written() -> None:
    text = "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{{ eos_token }}{% endfor %}"
    assert rendered(text) == "<s>[user]hi</s>"


def test_lines_with_statements_leave_no_trace() -> None:
    assert rendered("{% if add_generation_prompt %}\n  {% set x = 1 %}\nA\n{% endif %}\n") == "A\n"


def test_json_keeps_its_characters() -> None:
    assert (
        rendered("{{ tools[0].function | tojson }}", tools=[TOOL])
        == '{"name": "f", "description": "a<b & é"}'
    )
    assert rendered("{{ {'b': 1, 'a': [2]} | tojson(indent=1) }}") == '{\n "b": 1,\n "a": [\n  2\n ]\n}'


def test_loops_may_be_left_and_generation_marks_are_passed_over() -> None:
    text = "{% for n in range(9) %}{% if n == 2 %}{% break %}{% endif %}{{ n }}{% endfor %}"
    assert rendered(text) == "01"
    assert rendered("a{% generation %}b{{ 1 + 1 }}{% endgeneration %}c") == "ab2c"


def test_the_day_can_be_written() -> None:
    assert re.fullmatch(r"20\d\d-\d\d", rendered("{{ strftime_now('%Y-%m') }}"))


def test_tools_have_a_template_of_their_own_where_the_file_has_one() -> None:
    assert rendered("plain", "with {{ tools | length }}", tools=[TOOL]) == "with 1"
    assert rendered("plain", "with {{ tools | length }}") == "plain"


def test_tools_without_a_place_for_them_are_refused() -> None:
    with pytest.raises(BadRequest, match="no place for tools; send the request without"):
        rendered("plain", tools=[TOOL])


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("{{ raise_exception('only user') }}", USER),
        ("{{ messages[0].content + 'x' }}", [{"role": "user", "content": None}]),
        ("{{ messages[3].content.x }}", USER),
        ("{{ 1 // 0 }}", USER),
    ],
)
def test_messages_that_a_template_trips_over_are_a_bad_request(text: str, messages: Any) -> None:
    with pytest.raises(BadRequest, match="the model's chat template refuses the messages"):
        rendered(text, messages=messages)


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ messages.append(1) }}",
        "{{ raise_exception.__globals__['datetime'] }}",
    ],
)
def test_a_template_cannot_leave_its_sandbox(text: str) -> None:
    with pytest.raises(BadRequest):
        rendered(text)


def test_a_text_that_is_no_template_is_found_when_it_is_read() -> None:
    with pytest.raises(TemplateError):
        ChatTemplate("{% if %}", "", {})
