"""Adapters on a model: against peft with one adapter at a time, and against plain sums of matrices."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.component.inference_server.adapter_names import BROKEN_NAMES, KIND_NAMES

pytestmark = pytest.mark.component
NEAR, MOVED = 5e-5, 0.5  # rounding in float32; what an adapter adds


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("adapters")
    command = [sys.executable, "-m", "tests.component.inference_server.adapter_probe", str(folder)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_every_kind_of_adapter_answers_as_with_peft(probe: dict[str, Any], kind: str) -> None:
    assert probe["kinds"]["moved"][kind] > MOVED
    assert probe["kinds"]["alone"][kind] < NEAR


def test_rows_of_one_forward_get_their_own_adapter_only(probe: dict[str, Any]) -> None:
    assert len(probe["kinds"]["mixed"]) == 6
    assert max(probe["kinds"]["mixed"]) < NEAR


def test_rows_without_an_adapter_are_the_base_models_to_the_bit(probe: dict[str, Any]) -> None:
    assert probe["kinds"]["base row is the base's"] is True


def test_what_a_sum_would_drop_is_named(probe: dict[str, Any]) -> None:
    said = probe["kinds"]["mergeable"]
    assert {kind for kind, why in said.items() if why} == {"dora", "biased", "embedding", "saved"}
    assert "use_dora" in said["dora"]


def test_an_unloaded_adapter_leaves_nothing_behind(probe: dict[str, Any]) -> None:
    kinds = probe["kinds"]
    assert kinds["bytes"] > 10_000
    assert (kinds["bytes after"], kinds["hooks after"], kinds["same after"]) == (0, 0, True)


def test_cat_is_the_weighted_sum_over_ranks_scalings_and_layers(probe: dict[str, Any]) -> None:
    assert probe["sums"]["cat"] < NEAR


def test_one_part_is_that_adapter_times_its_strength(probe: dict[str, Any]) -> None:
    assert probe["sums"]["one"] < NEAR


def test_strength_0_is_the_base_to_the_bit_and_is_left_out_of_sums(probe: dict[str, Any]) -> None:
    assert probe["sums"]["zero"] is True
    assert probe["sums"]["left out"] < NEAR


def test_dora_is_never_summed(probe: dict[str, Any]) -> None:
    assert "DoRA" in probe["sums"]["dora"]
    assert "by its name" in probe["sums"]["dora"]


def test_other_ways_of_combination_are_pefts(probe: dict[str, Any]) -> None:
    assert len(probe["sums"]["ways"]) == 7
    assert max(probe["sums"]["ways"].values()) < NEAR
    assert "choose the combination cat" in probe["sums"]["unequal ranks"]


def test_random_ways_give_the_same_at_every_start(probe: dict[str, Any]) -> None:
    assert len(probe["sums"]["random"]) == 4
    for moved, again in probe["sums"]["random"].values():
        assert moved > MOVED
        assert again == 0.0


@pytest.mark.parametrize("name", [*BROKEN_NAMES, "cut", "huge"])
def test_a_broken_adapter_is_refused_by_the_tensor_that_is_wrong(probe: dict[str, Any], name: str) -> None:
    said = probe["refused"]["said"][name]
    assert f"{name!r}" in said
    assert "down_proj" in said or name in ("base weights", "no tensors", "cut")
    assert "; " in said or ": " in said


def test_a_refused_adapter_leaves_the_model_as_it_was(probe: dict[str, Any]) -> None:
    assert probe["refused"]["loaded"] == 1  # the good one
    assert probe["refused"]["same"] is True


def test_another_base_and_missing_layers_are_told_and_served(probe: dict[str, Any]) -> None:
    assert "'org/other-model'" in probe["warned"]["other"]
    assert probe["warned"]["same"] == ""
    assert "2 modules" in probe["warned"]["part"]


@pytest.mark.parametrize("model", ["together", "routed"])
def test_a_batch_of_several_adapters_says_what_each_row_says_alone(probe: dict[str, Any], model: str) -> None:
    found = probe[model]
    assert found["different"] == len(found["same"])
    for kind in ("same", "beside", "beams"):
        assert all(found[kind]), kind


def test_adapters_of_modules_that_see_no_rows_run_by_themselves(probe: dict[str, Any]) -> None:
    assert probe["routed"]["exclusive"] == ["shared"]
