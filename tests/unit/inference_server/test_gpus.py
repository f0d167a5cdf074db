"""GPUs that a server was given and cannot use end it; simulated ones leave it on the CPU."""

import logging
from typing import Any

import pytest

from inference_server.errors import ExitCode, GpuUnusable
from inference_server.options import ServerOptions, parse_options
from inference_server.transformers_engine.gpus import find_gpus, require_gpus


def refusal(**case: Any) -> str:
    with pytest.raises(GpuUnusable) as refused:
        require_gpus(**{"given": 1, "found": 0, "built_for": "13.0", "explanations": [], **case})
    assert refused.value.exit_code is ExitCode.GPU
    return f"{refused.value.reason}: {refused.value}"


@pytest.mark.parametrize(("given", "found"), [(0, 0), (0, 4), (1, 1), (2, 4)])
def test_as_many_gpus_as_were_given_or_more_are_enough(given: int, found: int) -> None:
    require_gpus(given, found, built_for="13.0", explanations=[])


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ({}, "GpuUnusable: this server was given 1 GPU and can use 0: the driver shows no more"),
        ({"given": 4, "found": 2}, "given 4 GPUs and can use 2"),
        ({"built_for": None}, "built without CUDA; use the runtime image for GPUs"),
        (
            {"explanations": ["The driver\n  is too old", "x"]},
            "says: The driver is too old; check",
        ),
    ],
)
def test_gpus_that_are_not_there_are_told_with_cause_and_next_action(case: dict[str, Any], said: str) -> None:
    assert said in refusal(**case)


def test_a_long_explanation_is_cut() -> None:
    assert len(refusal(explanations=["x" * 9000])) < 900


def test_simulated_gpus_mean_the_cpu_and_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert find_gpus(ServerOptions(gpus=2, simulated_gpus=True)) == 0
    assert [record.message for record in caplog.records] == ["the GPUs are simulated: running on the CPU"]


@pytest.mark.parametrize(
    ("environment", "simulated"),
    [
        ({}, False),
        ({"KAITO_SIMULATED_GPU": "true"}, True),
        ({"KAITO_SIMULATED_GPU": "false"}, False),
        ({"KAITO_SIMULATED_GPU": ""}, False),
    ],
)
def test_the_environment_says_whether_gpus_are_simulated(
    environment: dict[str, str], simulated: bool
) -> None:
    options = parse_options(["--gpus", "2"], environment)
    assert (options.gpus, options.simulated_gpus) == (2, simulated)
