"""Setting one condition among others."""

from datetime import UTC, datetime
from typing import Literal

from kaito_operator.api.conditions import Condition, find_condition, set_condition

EARLY = datetime(2030, 1, 1, tzinfo=UTC)
LATE = datetime(2030, 1, 2, tzinfo=UTC)


def a_condition(
    kind: str = "ResourceReady",
    status: Literal["True", "False", "Unknown"] = "True",
    *,
    at: datetime = EARLY,
    message: str = "",
    generation: int = 1,
) -> Condition:
    return Condition(
        type=kind,
        status=status,
        reason="Because",
        message=message,
        last_transition_time=at,
        observed_generation=generation,
    )


def test_a_new_type_goes_to_the_end() -> None:
    first, second = a_condition("ResourceReady"), a_condition("InferenceReady")
    assert set_condition([first], second) == [first, second]


def test_a_turned_condition_carries_the_new_time_in_the_old_place() -> None:
    other = a_condition("InferenceReady")
    turned = a_condition(status="False", at=LATE)
    assert set_condition([a_condition(), other], turned) == [turned, other]


def test_a_condition_that_did_not_turn_keeps_its_time_but_takes_the_new_words() -> None:
    old = a_condition(message="one node")
    new = a_condition(message="two nodes", at=LATE, generation=2)
    assert set_condition([old], new) == [a_condition(message="two nodes", at=EARLY, generation=2)]


def test_saying_the_same_again_changes_nothing() -> None:
    conditions = [a_condition(), a_condition("InferenceReady", "False")]
    assert set_condition(conditions, a_condition(at=LATE)) == conditions


def test_the_given_list_is_left_as_it_is() -> None:
    conditions = [a_condition()]
    set_condition(conditions, a_condition(status="False", at=LATE))
    assert conditions == [a_condition()]


def test_a_condition_is_found_by_its_type() -> None:
    wanted = a_condition("InferenceReady")
    assert find_condition([a_condition(), wanted], "InferenceReady") is wanted
    assert find_condition([a_condition()], "InferenceReady") is None
