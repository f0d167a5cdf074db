"""docs/openai-api.md says what the routes under /v1 take and answer."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from pydantic import ValidationError

from inference_server.echo_engine import EchoEngine
from inference_server.errors import RequestError
from inference_server.http.app import build_app
from inference_server.http.openai import running
from inference_server.http.openai.completions import DEFAULT_TOKENS
from inference_server.http.openai.fields import SamplingFields
from inference_server.http.openai.protocol import ChatCompletionRequest, CompletionRequest
from inference_server.http.openai.refusals import error_body
from inference_server.http.openai.tools.conventions import HERMES, LLAMA, MISTRAL, PHI, convention_of
from inference_server.options import ServerOptions
from inference_server.service import Service
from tests.unit.documentation.pages import blocks, code, rows, section, text
from tests.unit.inference_server.openai.test_tool_calls import Templated

PAGE = text("docs/openai-api.md")
SERVER = text("docs/inference-server.md")
SHARED = rows(section(PAGE, "Both routes"))
CHAT = rows(section(PAGE, "Chat"))[
    : len(ChatCompletionRequest.model_fields) - len(SamplingFields.model_fields)
]
COMPLETIONS = rows(section(PAGE, "Completions"))


def own(model: type[SamplingFields]) -> list[str]:
    return [name for name in model.model_fields if name not in SamplingFields.model_fields]


def test_every_field_has_its_row() -> None:
    assert [code(row[0])[0] for row in SHARED] == list(SamplingFields.model_fields)
    assert [code(row[0])[0] for row in CHAT] == own(ChatCompletionRequest)
    assert [code(row[0])[0] for row in COMPLETIONS] == own(CompletionRequest)


RANGE = re.compile(r"(above )?(-?[\d,]+)(?: to |, to )(-?[\d,]+)$")
RANGED = {code(row[0])[0]: row[1] for row in [*SHARED, *CHAT, *COMPLETIONS] if RANGE.fullmatch(row[1])}


def accepted(field: str, value: float) -> bool:
    chat = field not in own(CompletionRequest) or field in ("top_logprobs", "messages")
    body: dict[str, Any] = {"messages": [{"role": "user", "content": "x"}], "logprobs": True}
    if field == "messages":
        body["messages"] = body["messages"] * int(value)
    elif not chat or field == "logprobs":
        body = {"prompt": "x", field: value}
    else:
        body[field] = value
    try:
        (ChatCompletionRequest if "messages" in body else CompletionRequest).model_validate(body)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize(("field", "told"), RANGED.items())
def test_a_range_ends_where_the_table_says(field: str, told: str) -> None:
    found = RANGE.fullmatch(told)
    assert found is not None
    low, high = (int(found[n].replace(",", "")) for n in (2, 3))
    assert accepted(field, low) is not bool(found[1])
    assert [accepted(field, high), accepted(field, high + 1)] == [True, False]
    assert not accepted(field, low - 1)


def test_the_ranges_are_found() -> None:
    assert len(RANGED) >= 11


def routes() -> set[str]:
    options = ServerOptions()
    paths = build_app(Service(options, EchoEngine()), options).openapi()["paths"]
    described = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    return described | {"GET /ui"}  # a page for people stands in no description of an API


def test_every_route_stands_in_a_table() -> None:
    tables = [*rows(PAGE), *rows(section(SERVER, "Routes"))]
    told = {cell for row in tables for cell in code(row[0]) if cell.startswith(("GET ", "POST "))}
    assert told == routes()


def test_the_table_of_errors_is_that_of_the_code() -> None:
    for status, type_, code_, _ in rows(section(PAGE, "Errors under /v1")):
        special = code(code_)[0] if code(code_) else None
        body: Any = error_body(int(status), "m", code=special)
        if special is None and status != "404":
            body = error_body(int(status), "m")
        assert body["error"]["type"] == code(type_)[0]
        assert (body["error"]["code"] or "null") in code_


def test_the_conventions_are_recognized_as_the_table_says() -> None:
    told = rows(section(PAGE, "Tools").replace("\\|", "¦"))
    for row, convention in zip(told, (MISTRAL, PHI, HERMES, LLAMA), strict=False):
        for mark in code(row[0]):
            assert convention_of(Templated("tools " + mark.replace("¦", "|"))).name == convention.name


def test_numbers_in_the_text_are_those_of_the_code() -> None:
    assert f"`max_tokens` is {DEFAULT_TOKENS} when it is left out" in PAGE
    assert f"After {running.HEARTBEAT_S:.0f} seconds of silence" in " ".join(PAGE.split())
    assert running._STUCK_S == 60
    assert "takes nothing for a minute" in PAGE


def bodies() -> list[str]:
    found = re.findall(r"-d '(\{.*?\})'", PAGE, re.DOTALL)
    assert found
    return found


@pytest.mark.parametrize("body", bodies())
def test_a_request_that_the_page_shows_is_taken(body: str) -> None:
    ChatCompletionRequest.model_validate_json(body)


def test_the_schema_of_the_text_is_taken() -> None:
    shown = re.search(
        r'`(\{"type": "json_schema".*?\}\})`', " ".join(section(PAGE, "JSON").split())
    ) or re.search(r"(\{\"type\": \"json_schema\".*?SCHEMA\}\})", " ".join(section(PAGE, "JSON").split()))
    assert shown is not None
    form = json.loads(shown[1].replace("SCHEMA", "{}"))
    ChatCompletionRequest.model_validate(
        {"messages": [{"role": "user", "content": "x"}], "response_format": form}
    )


def test_the_python_example_compiles() -> None:
    (example,) = blocks(PAGE, "python")
    compile(example, "example", "exec")


def test_the_page_names_no_error_class() -> None:
    names = [cls.__name__ for cls in RequestError.__subclasses__()]
    assert [name for name in names if name in PAGE] == []
