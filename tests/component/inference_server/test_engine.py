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


@pytest.mark.parametrize("name", ["narrow", "deep"])
def test_an_adapter_of_another_base_is_refused_and_the_model_is_as_before(
    probe: dict[str, Any], made: Tiny, name: str
) -> None:
    assert probe[name]["said"].startswith("AdapterRefused: ")
    assert name in probe[name]["said"]
    assert probe[name]["after"] == made.expected["text"]


def test_pickled_weights_are_loaded_only_when_allowed(probe: dict[str, Any], made: Tiny) -> None:
    assert probe["pickled"].startswith("WeightsFormat: ")
    assert probe["pickled allowed"] == made.expected["text"]


def test_a_model_without_chat_template_continues_the_prompt(probe: dict[str, Any]) -> None:
    base = probe["base model"]
    assert base["text"].startswith("w3 w4 w")
    assert len(base["text"].split()) == 5
    assert base["tokens"] == 2
    assert "no chat template" in base["refused"]
    assert base["context"] == 64


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


def test_weights_in_several_files_are_loaded(probe: dict[str, Any], made: Tiny) -> None:
    assert probe["files"] > 2
    assert probe["shards"] == made.expected["text"]


def test_a_file_that_was_cut_off_is_told_before_anything_is_loaded(probe: dict[str, Any]) -> None:
    assert probe["cut off"].startswith("WeightsFormat: ")
    assert "make it again" in probe["cut off"]


LOADS = ["same type", "other type", "several files", "in 4 bits", "gguf"]


@pytest.mark.parametrize("load", LOADS)
def test_progress_counts_every_byte_and_goes_up_to_1(probe: dict[str, Any], load: str) -> None:
    reports = probe[load]["reports"]
    assert reports == sorted(reports)
    assert reports[-1] == 1.0
    assert probe[load]["counted"] == [pytest.approx(1.0)]


def test_a_gguf_file_gives_the_numbers_of_the_model_that_it_was_made_of(probe: dict[str, Any]) -> None:
    assert probe["gguf"]["apart"] < 1e-4
    assert any("GGUF" in note for note in probe["gguf"]["notes"])
    assert probe["gguf"]["tokens"]
    assert probe["gguf"]["quantized"].startswith("OptionsInvalid: ")


def test_no_weights_are_left_in_their_file(probe: dict[str, Any]) -> None:
    """The first answers would read them from disk, and the pod's limit count them as cache."""
    assert {load: probe[load]["mapped"] for load in ("same type", "other type", "several files")} == {
        "same type": 0,
        "other type": 0,
        "several files": 0,
    }


def test_the_type_that_is_chosen_is_explained(probe: dict[str, Any]) -> None:
    assert probe["same type"]["notes"] == []
    (note,) = probe["auto"]["notes"]
    assert note.startswith(f"runs in {probe['auto']['dtype'].removeprefix('torch.')}: ")


def test_weights_are_quantized_to_4_bits_on_request(probe: dict[str, Any]) -> None:
    assert "Linear4bit" in probe["in 4 bits"]["kinds"]
    assert any("4 bits" in note for note in probe["in 4 bits"]["notes"])
    assert probe["4bit"].startswith("w")


def test_there_are_no_8_bits_on_a_cpu(probe: dict[str, Any]) -> None:
    assert probe["8bit"].startswith("OptionsInvalid: there is no int8 on a CPU; ")


def test_attention_is_sdpa_where_the_model_has_it(probe: dict[str, Any]) -> None:
    assert probe["same type"]["attention"] == "sdpa"
    assert probe["no sdpa"]["attention"] == "eager"
    assert any("no SDPA" in note for note in probe["no sdpa"]["notes"])
