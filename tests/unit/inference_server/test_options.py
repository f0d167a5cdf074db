"""Flags and environment become options, or are refused with the reason."""

from pathlib import Path

import pytest

from inference_server.errors import OptionsInvalid
from inference_server.options import STRENGTHS_VARIABLE, ServerOptions, parse_options


def test_without_flags_the_options_are_those_of_the_runtime_pod() -> None:
    options = parse_options([], {})
    assert options == ServerOptions()
    assert options.model == Path("/mnt/weights")
    assert (options.port, options.max_queue, options.max_body_bytes) == (5000, 32, 1024 * 1024)
    assert options.drain_seconds == 25


def test_the_operators_command_line_is_understood() -> None:
    flags = "--model /m --served-model-name phi --port 5000 --dtype auto --adapters /a --trust-remote-code"
    options = parse_options(flags.split(), {STRENGTHS_VARIABLE: '{"one": 0.5, "two": 1}'})
    assert options.model_name == "phi"
    assert options.trust_remote_code
    assert options.adapter_strengths == {"one": 0.5, "two": 1.0}


def test_a_model_without_a_name_is_called_after_its_folder() -> None:
    assert parse_options(["--model", "/data/smollm"], {}).model_name == "smollm"


@pytest.mark.parametrize(
    "flags",
    ["--dtype int8", "--port 70000", "--port x", "--max-queue -1", "--drain-seconds -1", "--pipeline chat"],
)
def test_a_wrong_flag_is_refused_with_code_2(flags: str) -> None:
    with pytest.raises(OptionsInvalid, match="--help") as refused:
        parse_options(flags.split(), {})
    assert int(refused.value.exit_code) == 2


@pytest.mark.parametrize("text", ["{", "[1]", '{"a": "1"}', '{"a": 2}', '{"a": NaN}', '{"a": true}'])
def test_strengths_that_are_no_numbers_from_0_to_1_are_refused(text: str) -> None:
    with pytest.raises(OptionsInvalid, match=STRENGTHS_VARIABLE):
        parse_options([], {STRENGTHS_VARIABLE: text})
