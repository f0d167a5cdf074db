import pytest

from inference_server.errors import BadRequest
from inference_server.lengths import Lengths, Wish, plan_lengths

FITS = [
    ("nothing asked", 10, Wish(), 8192, Lengths(10, 200, 0)),
    ("a long prompt still gets 200", 5000, Wish(), 8192, Lengths(5000, 200, 0)),
    ("the context leaves less", 8100, Wish(), 8192, Lengths(8100, 92, 0)),
    ("max_new_tokens counts new ones", 10, Wish(max_new_tokens=7), 8192, Lengths(10, 7, 0)),
    ("max_length counts both", 10, Wish(max_length=50), 8192, Lengths(10, 40, 0)),
    ("max_new_tokens wins", 10, Wish(max_length=50, max_new_tokens=3), 8192, Lengths(10, 3, 0)),
    ("min_length counts both", 10, Wish(min_length=30), 8192, Lengths(10, 200, 20)),
    ("no limit is known", 10**6, Wish(), None, Lengths(10**6, 200, 0)),
    ("a cut prompt makes room", 9000, Wish(cut_prompt=True), 8192, Lengths(7992, 200, 0)),
]
REFUSED = [
    ("empty", 0, Wish(), 8192, "0 tokens"),
    ("as long as the context", 8192, Wish(), 8192, "8192"),
    ("longer than max_length", 60, Wish(max_length=50), 8192, "max_length is 50"),
    ("no room for a cut prompt", 9000, Wish(max_new_tokens=9000, cut_prompt=True), 8192, "no room"),
]


@pytest.mark.parametrize(
    ("prompt", "wish", "context", "lengths"), [r[1:] for r in FITS], ids=[r[0] for r in FITS]
)
def test_what_fits(prompt: int, wish: Wish, context: int | None, lengths: Lengths) -> None:
    assert plan_lengths(prompt, wish, context) == lengths


@pytest.mark.parametrize(
    ("prompt", "wish", "context", "said"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED]
)
def test_what_does_not_fit_is_told_with_its_numbers(prompt: int, wish: Wish, context: int, said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        plan_lengths(prompt, wish, context)
