"""A tiny model with random weights, made once, and the server that serves it."""

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
from tests.support.operator import CHECKOUT
from tools.localcluster.paths import cache_folder


@dataclass(frozen=True)
class Tiny:
    """The folder that tiny_model.py wrote, and what it says the model answers."""

    folder: Path
    expected: dict[str, Any]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.component)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders model, base (without a chat template), adapters, other, deeper, and expected.json."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    command = [sys.executable, "-m", "tests.component.inference_server.tiny_model", str(folder)]
    made = subprocess.run(command, cwd=CHECKOUT, check=False, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return folder


@pytest.fixture(scope="session")
def expected(tiny: Path) -> dict[str, Any]:
    """What the library's own generate() answers."""
    return dict(json.loads((tiny / "expected.json").read_text()))


@pytest.fixture(scope="session")
def made(tiny: Path, expected: dict[str, Any]) -> Tiny:
    return Tiny(tiny, expected)


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The folder of SmolLM2-135M-Instruct as safetensors, as the weights image's build keeps it."""
    found = sorted((cache_folder() / "weights").glob("weights-smollm2-*/weights"))
    if not found:
        pytest.skip("no SmolLM2 weights here; `python -m tools.images build weights-smollm2` makes them")
    return found[-1]


@pytest.fixture(scope="session")
def running(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server of the tiny model: 4 answers run together, one request may wait, bodies are small."""
    started = ServerProcess(
        *("--model", str(tiny / "model"), "--served-model-name", "tiny", "--dtype", "float32"),
        *("--max-queue", "1", "--max-concurrency", "4", "--max-body-bytes", "20000"),
        *("--adapters", str(tiny / "none"), "--workspace-name", "shop"),
        log=tmp_path_factory.mktemp("running") / "termination-log",
    )
    try:
        started.wait_ready()
        yield started
    finally:
        started.stop()


@pytest.fixture
def client(running: ServerProcess) -> Iterator[httpx.Client]:
    with running.client() as client:
        yield client
