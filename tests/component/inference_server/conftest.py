"""A tiny model with random weights, made once, and the server that serves it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.inference_server import ServerProcess
from tests.support.operator import CHECKOUT


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
    subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def expected(tiny: Path) -> dict[str, Any]:
    """What the library's own generate() answers."""
    return dict(json.loads((tiny / "expected.json").read_text()))


@pytest.fixture(scope="module")
def server(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("server")
    with ServerProcess(folder, "--model", str(tiny / "model"), "--adapters", str(tiny / "none")) as server:
        yield server
