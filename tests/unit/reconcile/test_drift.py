from typing import Any

import pytest

from kaito_operator.api.labels import ANNOTATION_APPLIED_HASH
from kaito_operator.reconcile.drift import covers, needs_apply

COVERED = [
    ("the same", {"a": 1}, {"a": 1}),
    ("defaults were added", {"a": 1, "b": 2}, {"a": 1}),
    ("an empty map was dropped", {}, {"a": {}}),
    ("a false was dropped", {}, {"a": False}),
    ("an element got defaults", {"c": [{"name": "x", "y": 1}]}, {"c": [{"name": "x"}]}),
    (
        "elements stand in another order",
        {"c": [{"name": "b"}, {"name": "a"}]},
        {"c": [{"name": "a"}, {"name": "b"}]},
    ),
    ("another added a named element", {"c": [{"name": "a"}, {"name": "b"}]}, {"c": [{"name": "a"}]}),
]
DIFFERENT = [
    ("a value was edited", {"a": 2}, {"a": 1}),
    ("a field is gone", {}, {"a": 1}),
    ("a named element is gone", {"c": []}, {"c": [{"name": "a"}]}),
    ("a selector got another key", {"selector": {"a": "1", "b": "2"}}, {"selector": {"a": "1"}}),
    ("an argument was added", {"args": ["--x", "--y"]}, {"args": ["--x"]}),
    ("arguments stand in another order", {"args": ["2", "1"]}, {"args": ["1", "2"]}),
    ("a map became a text", {"a": "x"}, {"a": {"b": 1}}),
    ("a true was turned off", {"a": False}, {"a": True}),
]


@pytest.mark.parametrize(("live", "desired"), [row[1:] for row in COVERED], ids=[row[0] for row in COVERED])
def test_nothing_is_written_when(live: Any, desired: Any) -> None:
    assert covers(live, desired)


@pytest.mark.parametrize(
    ("live", "desired"), [row[1:] for row in DIFFERENT], ids=[row[0] for row in DIFFERENT]
)
def test_it_is_put_back_when(live: Any, desired: Any) -> None:
    assert not covers(live, desired)


def with_hash(value: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"annotations": {ANNOTATION_APPLIED_HASH: value}}, "spec": spec}


def test_a_missing_object_is_applied() -> None:
    assert needs_apply(with_hash("1"), None)


def test_an_object_of_another_hash_is_applied_even_if_it_has_all_we_want() -> None:
    assert needs_apply(with_hash("2"), with_hash("1"))


def test_an_unchanged_object_is_left_alone() -> None:
    assert not needs_apply(with_hash("1", a=1), with_hash("1", a=1, b=2))
