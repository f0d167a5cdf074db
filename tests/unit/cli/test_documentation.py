"""docs/planning.md names every option, verdict, exit code and field, and no other."""

import json
from typing import get_args

import pytest

from kaito_operator.cli.__main__ import main
from kaito_operator.cli.arguments import parse_arguments
from kaito_operator.cli.plan import EXIT_CODES, Verdict
from kaito_operator.planner.timing import provisioning_s
from tests.unit.documentation.pages import CHECKOUT, code, first_cells, rows, section, text

PAGE = text("docs/planning.md")
EXAMPLE = CHECKOUT / "examples" / "inference" / "kaito_workspace_smollm2.yaml"


def options(capsys: pytest.CaptureFixture[str]) -> set[str]:
    with pytest.raises(SystemExit):
        parse_arguments(["plan", "--help"])
    words = capsys.readouterr().out.replace(",", " ").split()
    return {word for word in words if word.startswith("--") and word != "--help"}


def test_every_option_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    described = {option for row in rows(section(PAGE, "Options of `kaito plan`")) for option in code(row[0])}
    assert described - {"-f"} == options(capsys)


def test_every_verdict_has_its_exit_code() -> None:
    described = {code(row[1])[0]: int(row[0]) for row in rows(section(PAGE, "Exit codes"))}
    assert described == dict(EXIT_CODES)
    assert set(described) == set(get_args(Verdict))


def test_every_field_of_the_json_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    main(["plan", "-f", str(EXAMPLE), "--json"])
    data = json.loads(capsys.readouterr().out)
    part = section(PAGE, "JSON")
    assert first_cells(part) == list(data)
    named = set(code(part))
    assert {*data["memoryPerGpu"], *data["seconds"]} <= named


def test_the_minutes_of_a_new_node_are_those_that_are_planned() -> None:
    with_gpu, without = provisioning_s(gpu=True) // 60, provisioning_s(gpu=False) // 60
    assert f"planned with {with_gpu} minutes ({without} without a GPU)" in PAGE
