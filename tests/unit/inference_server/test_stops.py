"""Stop texts in a stream of pieces of any size."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_server.scheduling.stops import StopCutter

TABLE = [
    ("no stops", [], ["a", "b"], ["a", "b"], False),
    ("in one piece", ["END"], ["abENDcd"], ["ab"], True),
    ("over three pieces", ["END"], ["aE", "N", "D"], ["a", "", ""], True),
    ("a beginning that is none", ["END"], ["aE", "Nx"], ["a", "ENx"], False),
    ("a beginning inside of a beginning", ["aab"], ["aa", "ab"], ["", "a"], True),
    ("the first in the text wins", ["yy", "x"], ["axyy"], ["a"], True),
    ("a stop at the very beginning", ["x"], ["x"], [""], True),
    ("a beginning at the end is given out", ["END"], ["aEN"], ["a", "EN"], False),
]
NAMES = [row[0] for row in TABLE]


def cut(stops: Sequence[str], pieces: Sequence[str]) -> tuple[list[str], bool]:
    """What comes out piece by piece, and at the end if no stop text was met."""
    cutter = StopCutter(stops)
    shown = []
    for piece in pieces:
        shown.append(cutter.push(piece))
        if cutter.stopped:
            return shown, True
    rest = cutter.flush()
    assert cutter.flush() == ""  # nothing comes twice
    return [*shown, rest] if rest else shown, False


@pytest.mark.parametrize(
    ("name", "stops", "pieces", "shown", "stopped"), TABLE, ids=[row[0] for row in TABLE]
)
def test_what_is_shown_ends_before_a_stop_text(
    name: str, stops: list[str], pieces: list[str], shown: list[str], stopped: bool
) -> None:
    assert cut(stops, pieces) == (shown, stopped)


SMALL = st.text(alphabet="ab", min_size=1, max_size=4)


@given(st.lists(SMALL, max_size=3), st.lists(st.text(alphabet="abc", max_size=4), max_size=12))
def test_pieces_together_are_the_text_cut_at_its_first_stop(stops: list[str], pieces: list[str]) -> None:
    """The text is that up to the piece which completes a stop text: nothing is generated after it."""
    text = ""
    for piece in pieces:
        text += piece
        if any(stop in text for stop in stops):
            break
    found = [text.find(stop) for stop in stops if stop in text]
    shown, stopped = cut(stops, pieces)
    assert "".join(shown) == (text[: min(found)] if found else text)
    assert stopped is bool(found)


@given(SMALL, st.lists(st.text(alphabet="abc", max_size=4), max_size=12))
def test_no_more_is_held_back_than_could_become_a_stop_text(stop: str, pieces: list[str]) -> None:
    cutter = StopCutter([stop])
    given_out = ""
    text = ""
    for piece in pieces:
        text += piece
        given_out += cutter.push(piece)
        if cutter.stopped:
            return
        held = text.removeprefix(given_out)
        assert stop.startswith(held)
        assert held != stop
