"""docs/adapters.md names every state, every combination, and all that is refused."""

from typing import get_args

import pytest

from inference_server.adapters.entries import REASONS, AdapterState
from inference_server.adapters.manager import Patience
from inference_server.engine import Combination
from inference_server.transformers_engine.adapter_config import CHANGED_BASE, NOT_SERVED
from tests.unit.documentation.pages import code, rows, section, text

PAGE = text("docs/adapters.md")


def test_every_state_has_its_row_with_its_reason() -> None:
    table = {state: row[1] for row in rows(section(PAGE, "States")) for state in code(row[0])}
    assert set(table) == {str(state) for state in AdapterState}
    told = {state: code(reason) for state, reason in table.items() if code(reason)}
    assert told == {str(state): [reason] for state, reason in REASONS.items()}


@pytest.mark.parametrize("way", get_args(Combination))
def test_every_combination_is_named(way: str) -> None:
    assert f"`{way.removesuffix('_svd')}`" in section(PAGE, "The sum")


def test_all_that_is_refused_by_its_config_is_named() -> None:
    part = section(PAGE, "The sum").lower().replace("-", "").replace("_", "")
    for key, meaning in NOT_SERVED.items():
        short = key.replace("_", "")
        variant = meaning.lower().replace("-", "").partition("(")[2].rstrip(")") or meaning.lower().split()[0]
        assert short in part or variant.replace("-", "") in part, key
    for start in CHANGED_BASE:
        assert start.replace("_", "") in part, start


def test_the_waits_are_those_of_the_code() -> None:
    part, patience = section(PAGE, "While the server runs"), Patience()
    assert (patience.settled, patience.first_list, patience.grace) == (120, 60, 5)
    assert "after 2 minutes" in part
    assert "after 1 minute" in part
    assert "for 5 seconds" in part
