"""docs/inference-server.md says what the server does: fields, flags, errors, metrics, exit codes."""

import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from inference_server import options
from inference_server.echo_engine import EchoEngine
from inference_server.engine import Phase
from inference_server.errors import ExitCode, RequestError
from inference_server.health import Health
from inference_server.http.chat import prepare
from inference_server.http.protocol import ChatRequest, GenerateKwargs, range_problem
from inference_server.lengths import Wish, plan_lengths
from inference_server.metrics import Metrics
from inference_server.options import ServerOptions
from inference_server.scheduling.scheduler import Limits, Scheduler
from inference_server.service import Service
from tests.unit.documentation.pages import blocks, code, first_cells, pages, rows, section, text

PAGE = text("docs/inference-server.md")
KWARGS = rows(section(PAGE, "generate_kwargs"))
TOLD = {code(row[0])[0]: row for row in KWARGS if len(row) == 5}
NEUTRAL = {code(row[0])[0] for row in KWARGS if len(row) == 2}


def test_every_field_of_a_request_has_its_row() -> None:
    assert first_cells(section(PAGE, "Request")) == list(ChatRequest.model_fields)


def test_every_key_of_generate_kwargs_has_its_row() -> None:
    assert [*TOLD, *(code(row[0])[0] for row in KWARGS if len(row) == 2)] == list(GenerateKwargs.model_fields)


def test_the_defaults_of_generate_kwargs_are_those_of_the_code() -> None:
    defaults = GenerateKwargs().model_dump()
    words = {None: "none", True: "true", False: "false"}
    for key, (_, kind, _, default, _) in TOLD.items():
        value = defaults[key]
        expected = words[value] if kind == "bool" or value is None else str(value)
        assert default == expected, key


BOUND = re.compile(r"(above )?(-?[\d,]+)(?: to |, to )(-?[\d,]+)$")


@pytest.mark.parametrize("key", [key for key, row in TOLD.items() if BOUND.fullmatch(row[2])])
def test_a_range_of_generate_kwargs_ends_where_the_table_says(key: str) -> None:
    found = BOUND.fullmatch(TOLD[key][2])
    assert found is not None
    low, high = (float(found[n].replace(",", "")) for n in (2, 3))
    others = {"num_beams": 16} if key == "num_return_sequences" else {}
    number: Callable[[float], Any] = int if TOLD[key][1] == "int" else float

    def accepted(value: float) -> bool:
        try:
            GenerateKwargs.model_validate({**others, key: number(value)})
        except ValidationError:
            return False
        return True

    step = 1 if number is int else 0.001
    assert accepted(low) is not bool(found[1])
    assert [accepted(low + step), accepted(high)] == [True, True]
    assert [accepted(low - step), accepted(high + step)] == [False, False]


def flags() -> dict[str, Any]:
    parser = options._parser()
    return {action.option_strings[-1]: action.default for action in parser._actions if action.dest != "help"}


def test_every_flag_has_its_row_and_no_row_is_left_over() -> None:
    told = [cell for cell in first_cells(section(PAGE, "Start it")) if cell.startswith("--")]
    assert told == list(flags())


def test_the_defaults_of_the_flags_are_those_of_the_code() -> None:
    told = {code(row[0])[0]: code(row[1]) for row in rows(section(PAGE, "Start it")) if "`--" in row[0]}
    for flag, default in flags().items():
        if told[flag]:
            assert told[flag] == [str(default)], flag
        else:
            assert default in (None, "", False), flag


def test_every_option_can_be_given() -> None:
    variables = first_cells(section(PAGE, "Start it"))
    given = {flag.removeprefix("--").replace("-", "_") for flag in flags()}
    from_torchrun = {"rank", "local_rank", "world_size"}
    from_environment = {"adapter_strengths", "simulated_gpus", *from_torchrun}
    assert {field.name for field in fields(ServerOptions)} - given == from_environment
    told = {name.lower() for row in rows(section(PAGE, "Start it")) for name in code(row[0])}
    assert from_torchrun <= told
    assert {options.STRENGTHS_VARIABLE, options.SIMULATED_VARIABLE} <= set(variables)


def test_every_exit_code_has_its_row() -> None:
    told = [(int(row[0]), row[1]) for row in rows(section(PAGE, "Exit codes"))]
    assert told == [(code.value, code.name) for code in ExitCode]


def test_every_metric_has_its_row_with_its_type_and_labels() -> None:
    scheduler = Scheduler(EchoEngine(), Limits(1, 1, 1.0), print)
    metrics = Metrics("m", Health("m"), scheduler, lambda: {"Loaded": 1})
    metrics.count_request("/chat", 200, 0.1)
    exposed = metrics.prometheus_text().decode()
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", exposed, re.MULTILINE))
    expected = {name: kind for name, kind in types.items() if not name.endswith("_created")}
    told = {code(row[0])[0]: row for row in rows(section(PAGE, "Metrics"))}
    assert {name: row[1] for name, row in told.items()} == expected
    for name, row in told.items():
        sample = re.search(rf"^{name}(?:_count)?(?:\{{(.*)\}})? ", exposed, re.MULTILINE)
        assert sample is not None
        assert set(code(row[2])) == set(re.findall(r"(\w+)=", sample[1] or "")), name


def test_the_phases_of_a_load_are_named() -> None:
    loading = [phase for phase in Phase if phase not in (Phase.READY, Phase.DRAINING, Phase.FAILED)]
    assert [phase for phase in loading if f"`{phase}`" not in PAGE] == []


def templates() -> list[re.Pattern[str]]:
    """The texts of the table of errors; words in capitals match anything."""
    told = [text for row in rows(section(PAGE, "Errors")) for text in code(row[1])]
    return [re.compile(re.sub(r"\b[A-Z]{2,}\b", ".+", re.escape(text)), re.DOTALL) for text in told]


def a_service(path: Path) -> Service:
    service = Service(ServerOptions(termination_log=path / "none", adapters=path / "none"), EchoEngine())
    service.load()
    return service


def refused(body: dict[str, Any], service: Service) -> str:
    """The detail of a 400, without a socket."""
    try:
        request = ChatRequest.model_validate(body)
    except ValidationError as error:
        return range_problem(error.errors()) or ""
    with pytest.raises(RequestError) as raised:
        prepare(service, request)
    return raised.value.detail


BODIES: list[dict[str, Any]] = [
    {},
    {"messages": []},
    {"prompt": "x" * 5000},
    {"prompt": "x", "generate_kwargs": {"max_length": 1}},
    {"prompt": "x", "handle_long_generation": "hole", "generate_kwargs": {"max_new_tokens": 5000}},
    {"prompt": "x", "generate_kwargs": {"eos_token_id": 0x110000}},
    {"prompt": "x", "generate_kwargs": {"custom_generate": "y"}},
    {"prompt": "x", "generate_kwargs": {"temperature": -1}},
    {"prompt": "x", "generate_kwargs": {"stop": ["y"] * 9}},
    {"prompt": "x", "generate_kwargs": {"do_sample": False, "num_return_sequences": 2}},
    {"prompt": "x", "generate_kwargs": {"min_length": 9, "max_length": 3}},
    {"messages": [{"role": "tool", "content": "x"}]},
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: str(body)[:60])
async def test_the_text_of_a_400_stands_in_the_table(body: dict[str, Any], tmp_path: Path) -> None:
    detail = refused(body, a_service(tmp_path))
    assert any(template.fullmatch(detail) for template in templates()), detail


@pytest.mark.parametrize("phase", [Phase.WEIGHTS, Phase.DRAINING, Phase.FAILED])
def test_the_text_of_a_503_stands_in_the_table(phase: Phase) -> None:
    health = Health("m")
    health.enter(phase)
    with pytest.raises(RequestError) as raised:
        health.require_ready()
    assert any(template.fullmatch(raised.value.detail) for template in templates()), raised.value.detail


def test_the_default_number_of_new_tokens_is_told() -> None:
    assert plan_lengths(300, Wish(), 4096).max_new_tokens == 200
    assert "else 200, however long" in PAGE


def requests_shown() -> list[str]:
    """The bodies that curl is given with -d, on any page."""
    found = [
        re.findall(r"/chat\b[^'`]*(?:'[^']*'\s+)?(?:\\\s+)?-d '([^']+)'", page.read_text())
        for page in pages()
    ]
    shown = [block for page in pages() for block in blocks(page.read_text(), "") if "/chat" in block]
    assert sum(map(len, found)) >= sum("-d '" in block for block in shown) > 0
    return [body for bodies in found for body in bodies]


@pytest.mark.parametrize("body", requests_shown())
def test_a_request_that_a_page_shows_is_accepted(body: str, tmp_path: Path) -> None:
    request = ChatRequest.model_validate_json(body)
    assert prepare(a_service(tmp_path), request)[0].token_ids
