"""Flags and environment become options, or are refused with the reason."""

from pathlib import Path

import pytest

from inference_server.errors import OptionsInvalid
from inference_server.options import SIMULATED_VARIABLE, STRENGTHS_VARIABLE, ServerOptions, parse_options


def test_without_flags_the_options_are_those_of_the_runtime_pod() -> None:
    options = parse_options([], {})
    assert options == ServerOptions()
    assert options.model == Path("/mnt/weights")
    assert (options.port, options.max_queue, options.max_body_bytes) == (5000, 128, 1024 * 1024)
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
    [
        *("--dtype int8", "--port 70000", "--port x", "--max-queue -1", "--drain-seconds -1"),
        *("--pipeline chat", "--engine vllm", "--quantization 3bit", "--max-model-len 1"),
        *("--max-concurrency -1", "--request-timeout nan", "--expected-load-seconds -1"),
    ],
)
def test_a_wrong_flag_is_refused_with_code_2(flags: str) -> None:
    with pytest.raises(OptionsInvalid, match="--help") as refused:
        parse_options(flags.split(), {})
    assert int(refused.value.exit_code) == 2


@pytest.mark.parametrize("text", ["{", "[1]", '{"a": "1"}', '{"a": 2}', '{"a": NaN}', '{"a": true}'])
def test_strengths_that_are_no_numbers_from_0_to_1_are_refused(text: str) -> None:
    with pytest.raises(OptionsInvalid, match=STRENGTHS_VARIABLE):
        parse_options([], {STRENGTHS_VARIABLE: text})


def test_the_workspaces_fields_arrive() -> None:
    flags = "--max-model-len 4096 --max-concurrency 8 --request-timeout 90 --api-keys /k"
    more = "--workspace-name shop --expected-load-seconds 42.5"
    options = parse_options([*flags.split(), *more.split()], {})
    assert (options.max_model_len, options.rows, options.request_timeout) == (4096, 8, 90.0)
    assert (options.api_keys, options.public_name) == (Path("/k"), "shop")
    assert options.expected_load_seconds == 42.5


def test_clients_call_the_model_by_its_served_name_where_there_is_no_workspace() -> None:
    options = parse_options(["--served-model-name", "phi"], {})
    assert (options.public_name, options.model_name) == ("phi", "phi")


@pytest.mark.parametrize(
    ("flags", "simulated", "rows"),
    [([], False, 16), (["--gpus", "1"], False, 64), (["--gpus", "1"], True, 16)],
)
def test_gpus_generate_more_answers_together_than_a_cpu(flags: list[str], simulated: bool, rows: int) -> None:
    environment = {SIMULATED_VARIABLE: "true"} if simulated else {}
    assert parse_options(flags, environment).rows == rows
    assert parse_options([*flags, "--max-concurrency", "3"], environment).rows == 3
