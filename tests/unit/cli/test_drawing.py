"""Text for a person: aligned, wrapped, coloured only where somebody looks, in signs that can be written."""

import io
from typing import Any

import pytest
from typing_extensions import override

from kaito_operator.cli import drawing


class Terminal(io.StringIO):
    """A standard output that a person looks at."""

    @override
    def isatty(self) -> bool:
        return True


def test_columns_are_as_wide_as_their_widest_cell_and_lines_end_with_their_text() -> None:
    lines = drawing.table([("a", "x"), ("long", "")], ("h", "head"))
    assert lines == ["h     head", "a     x", "long"]


def test_a_table_of_nothing_has_no_lines() -> None:
    assert drawing.table([]) == []


def test_a_long_sentence_is_wrapped_and_indented_and_no_name_is_broken() -> None:
    lines = drawing.sentence("Standard_NC24ads_A100_v4-and-more " * 10, indent="  ")
    assert len(lines) > 2
    assert all(line.startswith("  ") and len(line) <= drawing.WIDTH for line in lines)
    assert set(" ".join(lines).split()) == {"Standard_NC24ads_A100_v4-and-more"}


@pytest.mark.parametrize(("amount", "length"), [(0, 0), (1, 10), (2, 20), (4, 40)])
def test_a_bar_is_as_long_as_its_share(amount: int, length: int) -> None:
    assert len(drawing.bar(amount, 4)) == length


def test_colour_is_for_terminals_without_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert drawing.styled("yes", "green") == "yes"
    monkeypatch.setattr("sys.stdout", Terminal())
    assert drawing.styled("yes", "green") == "\x1b[1;32myes\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert drawing.styled("yes", "green") == "yes"


def test_an_output_that_knows_no_blocks_gets_plain_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    output: Any = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    monkeypatch.setattr("sys.stdout", output)
    assert drawing.bar(1, 4) == "#" * 10
    assert drawing.bar(1, 4, empty=True) == "." * 10
