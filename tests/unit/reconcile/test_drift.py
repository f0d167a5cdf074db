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
    ("a null was dropped", {"a": {}}, {"a": {"b": None}}),
    ("an empty text was dropped", {"env": [{"name": "A"}]}, {"env": [{"name": "A", "value": ""}]}),
    (
        "ports share a number",
        {"p": [{"containerPort": 1, "protocol": "TCP"}, {"containerPort": 1, "protocol": "UDP"}]},
        {"p": [{"containerPort": 1}, {"containerPort": 1, "protocol": "UDP"}]},
    ),
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
    ("a false was turned on", {"a": True}, {"a": False}),
    ("a toleration was added", {"t": [{"key": "a"}, {"key": "b"}]}, {"t": [{"key": "a"}]}),
    ("a toleration is gone", {"t": [{"key": "a"}]}, {"t": [{"key": "a"}, {"key": "b"}]}),
    ("a list is gone", {}, {"t": [{"key": "a"}]}),
    ("a mount moved", {"m": [{"name": "v", "mountPath": "/x"}]}, {"m": [{"name": "v", "mountPath": "/y"}]}),
    ("a request was added", {"requests": {"cpu": "1", "memory": "1"}}, {"requests": {"cpu": "1"}}),
    ("a node selector was added", {"nodeSelector": {"a": "b", "c": "d"}}, {"nodeSelector": {"a": "b"}}),
    (
        "one of two of a name is gone",
        {"c": [{"name": "a", "v": 2}]},
        {"c": [{"name": "a", "v": 1}, {"name": "a", "v": 2}]},
    ),
    ("a port moved", {"ports": [{"name": "http", "port": 81}]}, {"ports": [{"name": "http", "port": 80}]}),
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


SPELLED = with_hash("1", cpu="1", replicas=1)


def test_what_the_api_server_spells_in_another_way_is_left_alone() -> None:
    assert not needs_apply(with_hash("1", cpu="1000m"), with_hash("1", cpu="1", replicas=1), SPELLED)


def test_an_edit_of_what_is_spelled_in_another_way_is_put_back() -> None:
    assert needs_apply(with_hash("1", cpu="1000m"), with_hash("1", cpu="2", replicas=1), SPELLED)


def test_the_spelling_of_an_earlier_object_does_not_count() -> None:
    assert needs_apply(with_hash("2", cpu="2000m"), with_hash("2", cpu="1", replicas=1), SPELLED)


def test_a_lost_owner_is_put_back_although_the_rest_is_spelled_in_another_way() -> None:
    wanted = with_hash("1", cpu="1000m")
    wanted["metadata"]["ownerReferences"] = [{"uid": "u"}]
    assert needs_apply(wanted, with_hash("1", cpu="1", replicas=1), SPELLED)
