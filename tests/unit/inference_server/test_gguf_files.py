"""Which files make up a GGUF model."""

from __future__ import annotations

from pathlib import Path

import pytest

from inference_server.errors import WeightsFormat
from inference_server.llama_engine.files import gguf_files


def folder_with(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).touch()
    return folder


def found(folder: Path) -> list[str]:
    return [path.name for path in gguf_files(folder)]


def test_one_file_is_the_model(tmp_path: Path) -> None:
    assert found(folder_with(tmp_path, "a.gguf", "README.md", "mmproj-a.gguf")) == ["a.gguf"]


def test_parts_come_in_their_order(tmp_path: Path) -> None:
    parts = [f"m-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    assert found(folder_with(tmp_path, *reversed(parts))) == parts


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a.gguf", "b.gguf"], "holds 2 GGUF models (a.gguf, b.gguf), and one is served"),
        (["m-00001-of-00002.gguf", "m-00002-of-00002.gguf", "z.gguf"], "holds 2 GGUF models"),
        (["m-00002-of-00002.gguf"], "lacks 1 of the model's 2 parts, m-00001-of-00002.gguf among them"),
        (["model.safetensors"], "holds no .gguf file"),
        ([], "holds no .gguf file"),
    ],
)
def test_anything_else_is_refused_with_the_next_action(tmp_path: Path, names: list[str], said: str) -> None:
    with pytest.raises(WeightsFormat) as caught:
        gguf_files(folder_with(tmp_path, *names))
    assert said in str(caught.value)
    assert ";" in str(caught.value)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsFormat, match=r"there is no folder .*absent; mount the weights there"):
        gguf_files(tmp_path / "absent")
