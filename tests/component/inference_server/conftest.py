"""One tiny model for all tests here, and one server that serves it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.component.inference_server.process import ServerProcess


@dataclass(frozen=True)
class Tiny:
    """The folder that tiny_model.py wrote, and what it says the model answers."""

    folder: Path
    expected: dict[str, Any]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    folder = tmp_path_factory.mktemp("tiny")
    module = "tests.component.inference_server.tiny_model"
    made = subprocess.run(
        [sys.executable, "-m", module, str(folder)], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    return Tiny(folder, json.loads((folder / "expected.json").read_text()))


@pytest.fixture(scope="session")
def server(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    log = tmp_path_factory.mktemp("server") / "termination-log"
    model = str(tiny.folder / "model")
    process = ServerProcess(
        *("--model", model, "--served-model-name", "tiny", "--dtype", "float32", "--max-queue", "1"),
        *("--max-body-bytes", "20000", "--adapters", str(tiny.folder / "none")),
        log=log,
    )
    try:
        process.wait_ready()
        yield process
    finally:
        process.stop()


@pytest.fixture
def client(server: ServerProcess) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client
