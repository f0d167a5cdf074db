"""The tokenizers of real models behind the engine's protocol: see tokenizer_probe.py."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.component.inference_server.conftest import Tiny
from tests.component.inference_server.tokenizer_probe_texts import TEXTS

pytestmark = pytest.mark.component


def probed(folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.component.inference_server.tokenizer_probe", str(folder)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    found: list[dict[str, Any]] = json.loads(run.stdout.splitlines()[-1])
    return found[0]


@pytest.fixture(scope="module", params=["tiny", "smollm2"])
def probe(request: pytest.FixtureRequest, made: Tiny) -> dict[str, Any]:
    folder = made.folder / "model" if request.param == "tiny" else request.getfixturevalue("smollm2")
    return {"name": request.param, **probed(folder)}


def test_streamed_text_is_that_of_all_tokens_together(probe: dict[str, Any]) -> None:
    assert probe["differences"] == 0


def test_eight_threads_do_not_disturb_each_other(probe: dict[str, Any]) -> None:
    assert probe["threads"] == 0


def test_a_prompt_is_never_cut_whatever_the_tokenizers_file_says(probe: dict[str, Any]) -> None:
    assert probe["long"] >= 50


def test_half_of_a_surrogate_pair_is_refused_with_its_place(probe: dict[str, Any]) -> None:
    assert "character 2 of the text is half of a surrogate pair" in probe["refusals"]["surrogate"]


def test_a_message_that_the_template_cannot_read_is_the_clients_mistake(probe: dict[str, Any]) -> None:
    assert probe["refusals"]["no content"].startswith("the model's chat template refuses the messages: ")


def test_tools_are_rendered_where_the_template_has_a_place_and_refused_elsewhere(
    probe: dict[str, Any],
) -> None:
    assert probe["with tools"] == "[weather]w1"
    assert "no place for tools" in probe["refusals"]["tools"]


def test_an_id_beyond_the_vocabulary_has_no_bytes(probe: dict[str, Any]) -> None:
    assert probe["beyond"] == ""


def test_the_bytes_of_tokens_are_those_of_the_text(probe: dict[str, Any]) -> None:
    if probe["name"] == "tiny":
        pytest.skip("the tiny model's words are not made of bytes")
    assert probe["bytes"] == TEXTS


def test_the_chat_template_is_there(probe: dict[str, Any]) -> None:
    assert probe["template"] == [True, True]
