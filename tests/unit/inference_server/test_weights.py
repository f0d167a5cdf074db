"""What a weights folder must hold; without loading anything."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from inference_server.errors import WeightsFormat
from inference_server.transformers_engine.folder import Stored, WeightFiles, check_folder


def folder(tmp_path: Path, *names: str) -> Path:
    for name in names:
        (tmp_path / name).touch()
    return tmp_path


def safetensors(path: Path, tensors: Mapping[str, tuple[str, list[int], int]]) -> Path:
    """Write a file of zeros: type, shape and bytes of each tensor by its name."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (dtype, shape, size) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(end))
    return path


def test_config_and_safetensors_are_enough(tmp_path: Path) -> None:
    found = check_folder(folder(tmp_path, "config.json", "model.safetensors"), allow_pickled=False)
    assert found == WeightFiles(tmp_path, "safetensors", (tmp_path / "model.safetensors",))


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


@pytest.mark.parametrize("text", ["{", "[]", '{"weight_map": 5}'])
def test_an_index_that_cannot_be_read_is_a_broken_copy(tmp_path: Path, text: str) -> None:
    folder(tmp_path, "config.json", "model-1.safetensors")
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(WeightsFormat, match="cannot be read"):
        check_folder(tmp_path, allow_pickled=False)


def test_shards_are_those_of_the_index(tmp_path: Path) -> None:
    folder(tmp_path, "config.json", "model-1.safetensors", "model-2.safetensors", "extra.safetensors")
    shards = {"a": "model-1.safetensors", "b": "model-2.safetensors", "c": "model-1.safetensors"}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    found = check_folder(tmp_path, allow_pickled=False)
    assert [path.name for path in found.paths] == ["model-1.safetensors", "model-2.safetensors"]


def test_pickles_pass_only_when_allowed(tmp_path: Path) -> None:
    folder(tmp_path, "config.json", "pytorch_model.bin")
    assert check_folder(tmp_path, allow_pickled=True).form == "pickle"


def test_one_gguf_file_needs_no_config(tmp_path: Path) -> None:
    found = check_folder(folder(tmp_path, "tiny.Q4_K_M.gguf"), allow_pickled=False)
    assert found == WeightFiles(tmp_path, "gguf", (tmp_path / "tiny.Q4_K_M.gguf",))


def test_safetensors_win_over_gguf(tmp_path: Path) -> None:
    folder(tmp_path, "config.json", "model.safetensors", "tiny.gguf")
    assert check_folder(tmp_path, allow_pickled=False).form == "safetensors"


GGUFS = [
    (("a.gguf", "b.gguf"), "keep only that one"),
    (("m-00001-of-00002.gguf", "m-00002-of-00002.gguf"), "in 2 parts.*--merge"),
    (("m-00001-of-00002.gguf",), "in 2 parts"),
]


@pytest.mark.parametrize(("names", "said"), GGUFS)
def test_gguf_that_is_not_one_file_is_refused_with_the_next_action(
    tmp_path: Path, names: tuple[str, ...], said: str
) -> None:
    with pytest.raises(WeightsFormat, match=said):
        check_folder(folder(tmp_path, *names), allow_pickled=False)


def test_a_gguf_file_that_is_part_1_of_1_is_whole(tmp_path: Path) -> None:
    assert check_folder(folder(tmp_path, "m-00001-of-00001.gguf"), allow_pickled=False).form == "gguf"


def test_the_tensors_of_all_shards_are_read_from_their_headers(tmp_path: Path) -> None:
    one = safetensors(tmp_path / "1.safetensors", {"a": ("BF16", [2, 3], 12), "n": ("I64", [1], 8)})
    two = safetensors(tmp_path / "2.safetensors", {"b": ("F32", [], 4)})
    assert WeightFiles(tmp_path, "safetensors", (one, two)).stored() == {
        "a": Stored("BF16", 6, 12),
        "n": Stored("I64", 1, 8),
        "b": Stored("F32", 1, 4),
    }


def test_a_file_that_was_cut_off_is_a_broken_copy(tmp_path: Path) -> None:
    path = safetensors(tmp_path / "model.safetensors", {"a": ("BF16", [500], 1000)})
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(WeightsFormat, match="make it again"):
        WeightFiles(tmp_path, "safetensors", (path,)).stored()


BROKEN = [b"", b"version https://git-lfs.github.com/spec/v1\n", b"\x02" + bytes(7) + b"[]", b"\xff" * 8]


@pytest.mark.parametrize("content", BROKEN)
def test_a_file_of_another_kind_is_told_from_safetensors(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsFormat, match="not a whole safetensors file"):
        WeightFiles(tmp_path, "safetensors", (path,)).stored()
