"""Downloading weights from a hub, as the init container does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from inference_server.fetch import MARKER
from tests.component.inference_server.hub import NEXT_SHA, SHA, TOKEN, Hub, running

pytestmark = pytest.mark.component
REPO = "tiny/llama"
FILES = {
    "config.json": b'{"model_type": "llama"}',
    "model.safetensors": b"t" * 200_000,
    "tokenizer.json": b"{}",
    "chat_template.jinja": b"{{ messages }}",
    "pytorch_model.bin": b"p" * 1000,
    "onnx/model.onnx": b"o",
    "original/consolidated.00.pth": b"c",
    "modeling_tiny.py": b"raise SystemExit",
    "README.md": b"#",
}
NEEDED = {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"}


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running(Hub({REPO: dict(FILES), "old/pickles": {"pytorch_model.bin": b"p"}})) as hub:
        yield hub


def fetch(
    hub: Hub, folder: Path, repo: str = REPO, revision: str = SHA, **environment: str
) -> tuple[int, str]:
    """Run the download; return its exit code and what the termination log says."""
    log = folder.parent / "termination-log"
    log.write_text("")
    command = [sys.executable, "-m", "inference_server.fetch", "--repo", repo, "--revision", revision]
    run = subprocess.run(
        [*command, "--to", str(folder), "--termination-log", str(log)],
        env={
            **{key: value for key, value in os.environ.items() if not key.startswith("HF_")},
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(folder.parent / "hf"),
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DOWNLOAD_TIMEOUT": "2",
            "HF_HUB_DISABLE_XET": "1",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert TOKEN not in run.stdout + run.stderr + log.read_text()
    return run.returncode, log.read_text()


def present(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_file()}


def test_the_files_that_a_model_needs_are_fetched_and_the_marker_written(hub: Hub, tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    assert fetch(hub, folder) == (0, "")
    assert present(folder) == {*NEEDED, MARKER}
    assert (folder / "model.safetensors").read_bytes() == FILES["model.safetensors"]
    marker = json.loads((folder / MARKER).read_text())
    assert marker == {"repo": REPO, "revision": SHA, "sha": SHA, "complete": True}


def test_a_second_run_asks_the_hub_nothing(hub: Hub, tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    assert fetch(hub, folder)[0] == 0
    asked = hub.requests
    assert fetch(hub, folder)[0] == 0
    assert hub.requests == asked


def test_a_run_that_was_cut_off_goes_on_with_the_missing_file_only(hub: Hub, tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    hub.cut = {"model.safetensors"}
    code, said = fetch(hub, folder)
    assert code == 12, said
    assert said.startswith("HubUnreachable: ")
    assert not json.loads((folder / MARKER).read_text())["complete"]
    hub.cut, hub.downloads = set(), []
    assert fetch(hub, folder)[0] == 0
    assert hub.downloads == ["model.safetensors"]
    assert (folder / "model.safetensors").read_bytes() == FILES["model.safetensors"]


def test_another_commit_replaces_all_files_of_the_last(hub: Hub, tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    assert fetch(hub, folder)[0] == 0
    hub.repositories[REPO] = {"config.json": b"{}", "model-1.safetensors": b"n" * 10}
    hub.head = NEXT_SHA
    assert fetch(hub, folder, revision=NEXT_SHA)[0] == 0
    assert (folder / "config.json").read_bytes() == b"{}"
    assert "model.safetensors" not in present(folder)
    assert (folder / "model-1.safetensors").read_bytes() == b"n" * 10


def test_a_gated_model_needs_the_token_and_names_the_field(hub: Hub, tmp_path: Path) -> None:
    hub.gated = {REPO}
    code, said = fetch(hub, tmp_path / "weights")
    assert code == 10
    assert "presetOptions.modelAccessSecret" in said
    assert REPO in said
    assert fetch(hub, tmp_path / "weights", HF_TOKEN=TOKEN)[0] == 0


@pytest.mark.parametrize(
    ("repo", "revision", "code", "text"),
    [
        ("tiny/nothing", SHA, 11, "has no tiny/nothing"),
        (REPO, "3" * 40, 11, "no revision"),
        ("old/pickles", SHA, 3, "pytorch_model.bin"),
    ],
)
def test_what_is_not_there_is_named(
    hub: Hub, tmp_path: Path, repo: str, revision: str, code: int, text: str
) -> None:
    found, said = fetch(hub, tmp_path / "weights", repo, revision)
    assert found == code, said
    assert text in said


def test_a_hub_that_does_not_answer_is_named(hub: Hub, tmp_path: Path) -> None:
    code, said = fetch(hub, tmp_path / "weights", HF_ENDPOINT="http://127.0.0.1:1")
    assert code == 12
    assert "http://127.0.0.1:1" in said
    code, said = fetch(hub, tmp_path / "weights", HF_HUB_OFFLINE="1")
    assert code == 12
    assert "HF_HUB_OFFLINE" in said
