"""What a weights folder must hold, and in which type it is loaded; without loading anything."""

import json
from pathlib import Path

import pytest

from inference_server.errors import WeightsFormat
from inference_server.weights import check_folder, choose_dtype

BFLOAT16_CPU = "flags : avx512_bf16"


def folder(tmp_path: Path, *names: str) -> Path:
    for name in names:
        (tmp_path / name).touch()
    return tmp_path


def test_config_and_safetensors_are_enough(tmp_path: Path) -> None:
    check_folder(folder(tmp_path, "config.json", "model.safetensors"), allow_pickled=False)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ((), "is empty"),
        (("config.json",), "no .safetensors"),
        (("model.safetensors",), "no config.json"),
        (("consolidated.00.pth", "params.json"), "pickled weights"),
        (("config.json", "pytorch_model.bin"), "pickled weights"),
        (("consolidated.safetensors", "params.json"), "only consolidated files"),
    ],
)
def test_what_cannot_be_loaded_is_named_with_the_next_action(
    tmp_path: Path, names: tuple[str, ...], said: str
) -> None:
    with pytest.raises(WeightsFormat, match=said) as refused:
        check_folder(folder(tmp_path, *names), allow_pickled=False)
    assert any(word in str(refused.value) for word in ("convert", "init containers"))


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsFormat, match="no folder"):
        check_folder(tmp_path / "none", allow_pickled=False)


def test_a_missing_shard_is_an_incomplete_copy(tmp_path: Path) -> None:
    folder(tmp_path, "config.json", "model-1.safetensors")
    shards = {"a": "model-1.safetensors", "b": "model-2.safetensors"}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    with pytest.raises(WeightsFormat, match=r"lacks 1 .* model-2\.safetensors"):
        check_folder(tmp_path, allow_pickled=False)


def test_pickles_pass_only_when_allowed(tmp_path: Path) -> None:
    folder(tmp_path, "config.json", "pytorch_model.bin")
    check_folder(tmp_path, allow_pickled=True)


@pytest.mark.parametrize(
    ("capability", "cpuinfo", "dtype"),
    [
        ((9, 0), "", "bfloat16"),
        ((8, 0), "", "bfloat16"),
        ((7, 5), BFLOAT16_CPU, "float16"),
        (None, BFLOAT16_CPU, "bfloat16"),
        (None, "flags : avx2", "float32"),
    ],
)
def test_auto_takes_the_type_that_the_device_computes_in(
    capability: tuple[int, int] | None, cpuinfo: str, dtype: str
) -> None:
    assert choose_dtype("auto", capability, cpuinfo) == dtype
    assert choose_dtype("float16", capability, cpuinfo) == "float16"
