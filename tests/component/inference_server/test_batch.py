"""Rows that are generated together give what generate() gives for each alone: see batch_probe.py."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.component.inference_server import architectures

pytestmark = pytest.mark.component
ROWS = 12


@pytest.fixture(scope="module")
def probe() -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.component.inference_server.batch_probe"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return found


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", architectures.ARCHITECTURES)
def test_a_batch_gives_the_text_of_each_row_alone(probe: dict[str, Any], kind: str) -> None:
    found = probe["architectures"][kind]
    assert found["same"] == ROWS


@pytest.mark.parametrize("kind", architectures.ARCHITECTURES)
def test_rows_that_were_set_back_go_on_as_if_nothing_had_happened(probe: dict[str, Any], kind: str) -> None:
    assert probe["architectures"][kind]["same with little room"] == ROWS


@pytest.mark.parametrize("kind", architectures.ARCHITECTURES)
def test_only_models_with_a_state_of_their_own_are_not_batched(probe: dict[str, Any], kind: str) -> None:
    assert probe["architectures"][kind]["batched"] is (kind not in architectures.WITH_STATE)


def test_nothing_is_kept_of_rows_that_are_over(probe: dict[str, Any]) -> None:
    assert {found["left over"] for found in probe["architectures"].values()} == {0}


def test_penalties_and_bans_are_the_librarys(probe: dict[str, Any]) -> None:
    assert probe["processors"] == {"repetition": 6, "ngrams": 6, "minimum": 6}


def test_a_seed_draws_the_same_beside_other_rows_and_later(probe: dict[str, Any]) -> None:
    assert probe["sampling"]["same seed"]
    assert probe["sampling"]["other seed"]


@pytest.mark.parametrize("rule", ["shared", "top_p", "min_p", "typical"])
def test_tokens_are_drawn_from_the_librarys_distribution(probe: dict[str, Any], rule: str) -> None:
    draws = probe["sampling"]["draws"][rule]
    assert draws["outside"] == 0
    assert draws["distance"] < 0.15  # 300 draws; another distribution is farther away


def test_beams_beside_a_batch_give_the_librarys_answers_and_disturb_nobody(probe: dict[str, Any]) -> None:
    assert probe["beside"] == {"beams": True, "rows": True}


def test_a_row_whose_result_is_no_number_fails_alone(probe: dict[str, Any]) -> None:
    found = probe["failing"]
    assert found["bad"].startswith("InternalError: the model's result is not a number")
    assert found["others"]
    assert found["compared"] >= 2


def test_in_16_bit_the_logits_stay_near_those_of_each_row_alone(probe: dict[str, Any]) -> None:
    # Recorded: 0.012 of the spread. bfloat16 keeps 8 bits, and sums come in another order.
    assert probe["sixteen bit"]["worst"] < 0.03


def test_rows_that_outgrow_the_room_are_set_back_and_say_the_same(probe: dict[str, Any]) -> None:
    found = probe["little_room"]
    assert found["set back"] > 0  # else nothing is shown
    assert found["with room"] == 0
    assert (found["same"], found["as the model says"], found["used"]) == (6, 3, 0)


@pytest.mark.parametrize("rule", ["penalties", "bias", "logprobs", "none"])
def test_each_row_of_a_batch_has_its_own_rules_by_their_formulas(probe: dict[str, Any], rule: str) -> None:
    assert probe["rules"][rule]


def test_logprobs_are_the_models_own(probe: dict[str, Any]) -> None:
    assert probe["rules"]["farthest logprob"] < 1e-3


def test_the_utmost_values_of_a_request_break_neither_it_nor_others(probe: dict[str, Any]) -> None:
    found = probe["extremes"]
    assert found["cold"] == [True] * 7  # the likeliest token, and no division by nothing
    assert (found["wide"], found["penalty"], found["other"]) == (6, "BadRequest", True)


def test_rows_leave_in_every_state_and_the_others_go_on(probe: dict[str, Any]) -> None:
    found = probe["leaving"]
    assert found["joining"] == [1, 4]  # a prompt that is half computed, for four rows
    assert found["stayed"]
    assert found["until it left"]
    assert found["left over"] == [0, 0, 0]


def test_the_thread_of_a_row_beside_the_batch_ends_with_it(probe: dict[str, Any]) -> None:
    assert probe["leaving"]["beside"] == [0, 2, 0, 0, 0]


@pytest.mark.parametrize("fault", ["resize", "column", "piece"])
def test_where_the_memory_ends_rows_wait_and_none_is_lost(probe: dict[str, Any], fault: str) -> None:
    """And a long prompt that comes later is answered: the capacity is not cut for good."""
    assert probe["little_memory"][fault] == {"same": 6, "faults": True, "after": True}


def test_a_row_that_never_fits_the_memory_is_told_so(probe: dict[str, Any]) -> None:
    assert probe["little_memory"]["hopeless"] == "OutOfMemory:"


def test_each_row_has_its_own_adapter_also_after_it_was_set_back(probe: dict[str, Any]) -> None:
    found = probe["adapters"]
    assert found["different"] == 7
    assert found["set back"] > 0
    assert (found["same"], found["same with little room"]) == (7, 7)


def test_a_row_whose_adapter_is_gone_fails_before_it_joins(probe: dict[str, Any]) -> None:
    assert probe["adapters"]["gone"] == "not loaded: ['unloaded']"
    assert probe["adapters"]["known"] == 0


def test_a_row_keeps_to_its_schema_and_ends_with_it_whatever_else_is_asked(probe: dict[str, Any]) -> None:
    found = probe["grammars"]
    assert found["keys"] == [["city", "hot"]] * 6
    assert found["ends"] == [True] * 6
    assert found["longest"] < 200
    assert found["free"] == 20


def test_a_grammar_with_a_mistake_is_refused(probe: dict[str, Any]) -> None:
    assert probe["grammars"]["refused"] == ["BadRequest"] * 3


def test_rows_with_different_limits_draw_together_from_their_own_distributions(probe: dict[str, Any]) -> None:
    assert len(probe["mixed draws"]) == 4
    assert max(probe["mixed draws"].values()) < 0.15  # 400 draws each; one outside counts 1


def test_a_row_beside_the_batch_that_fails_does_so_alone_and_quotes_nothing(probe: dict[str, Any]) -> None:
    found = probe["beside_fails"]
    assert found["error"].startswith("InternalError: this request failed inside the engine")
    assert found["other"]
    assert (found["whole"], found["aside"]) == (["Whole"], "NoneType")
