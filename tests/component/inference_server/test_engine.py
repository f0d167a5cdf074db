"""The transformers engine with adapters, without a chat template, with other files."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.component.inference_server.conftest import Tiny

pytestmark = pytest.mark.component


@pytest.fixture(scope="module")
def probe(made: Tiny) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.component.inference_server.engine_probe", str(made.folder)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return found


def test_two_adapters_are_the_weighted_sum_of_what_each_adds(probe: dict[str, Any], made: Tiny) -> None:
    assert probe["half and full"] == made.expected["combined"]
    assert made.expected["combined"] != made.expected["text"]


def test_strength_0_gives_the_base_models_text(probe: dict[str, Any], made: Tiny) -> None:
    assert probe["none"] == made.expected["text"]
    assert probe["one at zero"] == made.expected["text"]


def test_one_adapter_changes_the_answer(probe: dict[str, Any], made: Tiny) -> None:
    assert probe["one"] not in (made.expected["text"], made.expected["combined"])


def test_adapters_run_in_the_models_own_type(probe: dict[str, Any]) -> None:
    assert probe["bfloat16"].startswith("w")


def test_an_adapter_of_another_base_is_refused_with_both_names_and_sizes(probe: dict[str, Any]) -> None:
    assert probe["narrow"].startswith("AdapterRefused: ")
    for part in ("'narrow'", "'tiny/narrow'", "'tiny'", "64 inputs", "128"):
        assert part in probe["narrow"]
    for part in ("'deep'", "'tiny/deep'", "'tiny'", "layers.2", "2 layers"):
        assert part in probe["deep"]


def test_pickled_weights_are_loaded_only_when_allowed(probe: dict[str, Any], made: Tiny) -> None:
    assert probe["pickled"].startswith("WeightsFormat: ")
    assert probe["pickled allowed"] == made.expected["text"]


def test_a_model_without_chat_template_continues_the_prompt(probe: dict[str, Any]) -> None:
    base = probe["base model"]
    assert base["text"].startswith("w3 w4 w")
    assert len(base["text"].split()) == 5
    assert base["tokens"] == 2
    assert "no chat template" in base["refused"]


def test_weights_that_lack_a_tensor_are_refused(probe: dict[str, Any]) -> None:
    assert probe["deeper config"].startswith("WeightsFormat: ")
    assert "layers.2" in probe["deeper config"]


def test_weights_with_code_of_their_own_are_refused_and_it_does_not_run(
    probe: dict[str, Any], made: Tiny
) -> None:
    assert probe["own code"].startswith("WeightsUntrusted: ")
    assert "trustRemoteCode" in probe["own code"]
    assert not (made.folder / "code" / "ran").exists()


def test_gpus_that_were_given_and_are_not_there_end_the_load(probe: dict[str, Any]) -> None:
    assert probe["no gpu"].startswith("GpuUnusable: this server was given 1000 GPUs and can use ")


def test_simulated_gpus_leave_the_model_on_the_cpu_in_a_type_of_its_own(
    probe: dict[str, Any], made: Tiny
) -> None:
    assert probe["simulated gpu"].startswith("w")
    assert probe["simulated dtype"] in ("torch.float32", "torch.bfloat16")
