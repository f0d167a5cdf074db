"""Which preset fits where, and what is chosen: the tables of golden/, line by line."""

import pytest

from tests.unit.planner.golden_tables import GOLDEN, TABLES


@pytest.mark.parametrize("file", TABLES)
def test_the_planner_says_what_the_golden_table_says(file: str) -> None:
    stored = (GOLDEN / file).read_text(encoding="utf-8").splitlines()
    assert TABLES[file]().splitlines() == stored, (
        "see whether the change is meant, then: python -m tests.unit.planner.golden_tables"
    )
