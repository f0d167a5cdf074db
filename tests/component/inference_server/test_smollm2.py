"""A real model: 50 prompts give the same text in batches of any size as one by one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.component, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def probe(smollm2: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.component.inference_server.smollm2_probe", str(smollm2)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("width", ["1", "2", "5", "16"])
def test_fifty_prompts_give_the_text_of_generate(probe: dict[str, Any], width: str) -> None:
    assert probe["same"][width] == 50


def test_in_16_bit_the_logits_stay_within_the_recorded_tolerance(probe: dict[str, Any]) -> None:
    assert probe["sixteen bit"] < 0.05  # see docs/inference-server.md
