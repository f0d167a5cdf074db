"""What adapter_config.json may say, and what is refused before anything is loaded."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from inference_server.errors import AdapterRefused
from inference_server.transformers_engine.adapter_config import LoraSettings, read_settings

LORA = {"peft_type": "LORA", "base_model_name_or_path": "org/base", "r": 8, "lora_alpha": 16}


def adapter(folder: Path, **config: Any) -> Path:
    (folder / "adapter_config.json").write_text(json.dumps({**LORA, **config}))
    (folder / "adapter_model.safetensors").touch()
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(AdapterRefused) as caught:
        read_settings("mine", folder)
    text = str(caught.value)
    assert "'mine'" in text
    assert any(mark in text for mark in ("; ", ": "))  # the next action follows the cause
    return text


def test_the_scaling_is_alpha_by_rank_or_by_its_root(tmp_path: Path) -> None:
    plain = read_settings("mine", adapter(tmp_path))
    assert plain.scaling("model.layers.0.q_proj", 8) == 2.0
    root = read_settings("mine", adapter(tmp_path, use_rslora=True))
    assert root.scaling("model.layers.0.q_proj", 8) == pytest.approx(16 / math.sqrt(8))


def test_what_cannot_be_summed_is_read_all_the_same(tmp_path: Path) -> None:
    read = read_settings("mine", adapter(tmp_path, use_dora=True, modules_to_save=["lm_head"]))
    assert read == LoraSettings("org/base", 8, 16.0, dora=True, saved_modules=("lm_head",))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"peft_type": "PREFIX_TUNING"}, "PREFIX_TUNING"),
        ({"peft_type": None}, "None"),
        ({"bias": "all"}, "biases"),
        ({"target_parameters": ["experts"]}, "target_parameters"),
        ({"trainable_token_indices": [1, 2]}, "trained tokens"),
        ({"layer_replication": [[0, 2]]}, "replicated layers"),
        ({"alora_invocation_tokens": [1]}, "aLoRA"),
        ({"init_lora_weights": "pissa_niter_4"}, "path_initial_model_for_weight_conversion"),
        ({"init_lora_weights": "olora"}, "base model's weights"),
        ({"r": "8"}, "r is no number"),
        ({"r": True}, "r is no number"),
        ({"lora_alpha": float("nan")}, "lora_alpha"),
        ({"rank_pattern": {"q_proj": "4"}}, "rank_pattern"),
        ({"rank_pattern": [1]}, "rank_pattern"),
        ({"target_modules": [1]}, "target_modules"),
        ({"modules_to_save": "lm_head"}, "modules_to_save"),
    ],
)
def test_what_is_not_served_is_refused_by_name(tmp_path: Path, config: dict[str, Any], said: str) -> None:
    assert said in refusal(adapter(tmp_path, **config))


@pytest.mark.parametrize("start", [True, False, "gaussian", "eva", "orthogonal", None])
def test_starting_points_that_leave_the_base_alone_are_served(tmp_path: Path, start: object) -> None:
    assert read_settings("mine", adapter(tmp_path, init_lora_weights=start)).rank == 8


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"LORA"', "[" * 100_000, "\xff"])
def test_a_config_that_is_no_json_object_is_refused(tmp_path: Path, text: str) -> None:
    adapter(tmp_path)
    (tmp_path / "adapter_config.json").write_bytes(text.encode("latin-1"))
    assert "adapter_config.json" in refusal(tmp_path)


@pytest.mark.parametrize("missing", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_folder_without_its_files_is_refused(tmp_path: Path, missing: str) -> None:
    adapter(tmp_path)
    (tmp_path / missing).unlink()
    assert missing in refusal(tmp_path)


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    adapter(tmp_path)
    (tmp_path / "adapter_model.safetensors").rename(tmp_path / "adapter_model.bin")
    assert "a pickle" in refusal(tmp_path)


def test_a_huge_config_is_not_read(tmp_path: Path) -> None:
    adapter(tmp_path, padding="x" * (5 * 1024**2))
    assert "4 MiB" in refusal(tmp_path)
