"""The script of the simulated cloud, and how a behaviour is written as text."""

import pytest

from tools.simcloud import Behaviour, SimCloudError, Verb, behaviours
from tools.simcloud.script import Script, parse


def taken(script: Script, verb: Verb, *names: str) -> str | None:
    behaviour = script.take(verb, *names)
    return behaviour.answer.code if behaviour and behaviour.answer else None


def test_a_behaviour_is_used_as_often_as_it_says() -> None:
    script = Script()
    script.add("ws1", [behaviours.throttled(times=2)])
    found = [taken(script, Verb.PUT, "ws1") for _ in range(3)]
    assert found == ["TooManyRequests", "TooManyRequests", None]


def test_the_last_behaviour_is_used_for_ever_if_it_says_so() -> None:
    script = Script()
    script.add("ws1", [behaviours.in_progress(), behaviours.sku_not_available().always()])
    found = [taken(script, Verb.PUT, "ws1") for _ in range(4)]
    assert found == ["OperationNotAllowed"] + 3 * ["SkuNotAvailable"]


def test_a_request_that_a_behaviour_is_not_meant_for_passes_it_by() -> None:
    script = Script()
    script.add("ws1", [behaviours.sku_not_available()])
    assert taken(script, Verb.GET, "ws1") is None
    assert taken(script, Verb.PUT, "ws2") is None
    assert taken(script, Verb.PUT, "ws1") == "SkuNotAvailable"


def test_a_pools_own_behaviour_comes_before_its_sizes_and_that_before_everythings() -> None:
    script = Script()
    script.add("*", [behaviours.server_error()])
    script.add("Standard_X", [behaviours.sku_not_available()])
    script.add("ws1", [behaviours.in_progress()])
    found = [taken(script, Verb.PUT, "ws1", "standard_x") for _ in range(3)]
    assert found == ["OperationNotAllowed", "SkuNotAvailable", "InternalServerError"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ws1=slow:2.5", ("ws1", behaviours.slow(2.5))),
        ("Standard_X=throttled:3,7", ("Standard_X", behaviours.throttled(3, 7))),
        ("*=token_refused!", ("*", behaviours.token_refused().always())),
        ("ws1=quota_exceeded:late=1", ("ws1", behaviours.quota_exceeded(late=True))),
        ("ws1=failed:code=Oops,seconds=2", ("ws1", behaviours.failed("Oops", seconds=2))),
    ],
)
def test_a_behaviour_is_read_from_text(text: str, expected: tuple[str, Behaviour]) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "ws1", "=slow:1", "ws1=explode", "ws1=slow", "ws1=slow:x", "ws1=throttled:1,2,3", "ws1=slow:when=1"],
)
def test_text_that_names_no_behaviour_is_refused_with_what_is_possible(text: str) -> None:
    with pytest.raises(SimCloudError, match=r"slow|BEHAVIOUR|takes"):
        parse(text)
