"""Folders to copy from and to."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.copier import MIB, Copier, compile_copier


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("copier") / "copier"
    compile_copier(path)
    return path


@pytest.fixture
def copier(program: Path, tmp_path: Path) -> Copier:
    return Copier(program, tmp_path)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "weights"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "deep" / "er" / "model.safetensors").write_bytes(os.urandom(5 * MIB + 1))
    return folder


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "mnt"
    folder.mkdir()
    return folder


@pytest.fixture
def big_source(tmp_path: Path) -> Iterator[Path]:
    """Give a folder whose one file takes seconds to copy and no room of its own."""
    folder = tmp_path / "big"
    folder.mkdir()
    with (folder / "model.safetensors").open("wb") as file:
        file.truncate(2048 * MIB)
    yield folder
    shutil.rmtree(folder)
