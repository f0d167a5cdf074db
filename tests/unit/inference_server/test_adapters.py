"""Which adapter folders are taken, and which are refused before anything is loaded."""

import json
from pathlib import Path
from typing import Any

import pytest

from inference_server.adapters import find_adapters
from inference_server.errors import AdapterRefused

LORA = {"peft_type": "LORA", "base_model_name_or_path": "org/base", "r": 8}


def add(folder: Path, name: str, **config: Any) -> None:
    (folder / name).mkdir()
    (folder / name / "adapter_config.json").write_text(json.dumps({**LORA, **config}))
    (folder / name / "adapter_model.safetensors").touch()


def test_adapters_come_in_the_order_of_their_names_with_their_strengths(tmp_path: Path) -> None:
    for name in ("zeta", "alpha", "mid"):
        add(tmp_path, name)
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "..data").mkdir()
    found = find_adapters(tmp_path, {"mid": 0.25})
    assert [(adapter.name, adapter.strength) for adapter in found] == [
        ("alpha", 1.0),
        ("mid", 0.25),
        ("zeta", 1.0),
    ]
    assert found[0].base == "org/base"


def test_no_folder_means_no_adapters(tmp_path: Path) -> None:
    assert find_adapters(tmp_path / "none", {}) == []


def test_a_strength_without_its_adapter_is_refused(tmp_path: Path) -> None:
    add(tmp_path, "one")
    with pytest.raises(AdapterRefused, match="'two'"):
        find_adapters(tmp_path, {"one": 1.0, "two": 1.0})


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"peft_type": "PREFIX_TUNING"}, "PREFIX_TUNING"),
        ({"use_dora": True}, "DoRA"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"bias": "all"}, "biases"),
    ],
)
def test_what_cannot_be_combined_is_refused_by_name(
    tmp_path: Path, config: dict[str, Any], said: str
) -> None:
    add(tmp_path, "odd", **config)
    with pytest.raises(AdapterRefused, match=said):
        find_adapters(tmp_path, {})


@pytest.mark.parametrize("missing", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_folder_without_its_files_is_refused(tmp_path: Path, missing: str) -> None:
    add(tmp_path, "half")
    (tmp_path / "half" / missing).unlink()
    with pytest.raises(AdapterRefused, match=missing):
        find_adapters(tmp_path, {})
