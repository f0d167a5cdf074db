"""Expected times: ordered as the world is, and never a limit below the expectation."""

import pytest

from kaito_operator.planner.timing import WeightsWay, expected_timing, provisioning_s

PHI_2 = 5_559_367_680


def test_the_example_of_the_docstring_holds() -> None:
    timing = expected_timing(PHI_2, "image", gpu=True, readiness_s=0)
    assert (timing.start_s, timing.load_s, timing.ready_s) == (247, 42, 290)


def test_weights_on_a_volume_arrive_before_those_of_the_hub_and_those_before_an_image() -> None:
    ways: tuple[WeightsWay, ...] = ("volumeClaim", "hub", "image")
    claim, hub, image = (expected_timing(PHI_2, way, gpu=True, readiness_s=0).start_s for way in ways)
    assert claim < hub < image


def test_loading_takes_the_same_time_wherever_the_weights_came_from() -> None:
    assert (
        expected_timing(PHI_2, "hub", gpu=True, readiness_s=0).load_s
        == expected_timing(PHI_2, "volumeClaim", gpu=True, readiness_s=0).load_s
    )


@pytest.mark.parametrize(("readiness_s", "limit_s"), [(0, 580), (1800, 1800)])
def test_the_limit_is_twice_the_plan_and_at_least_what_v0_3_0_waits(readiness_s: int, limit_s: int) -> None:
    assert expected_timing(PHI_2, "image", gpu=True, readiness_s=readiness_s).limit_s == limit_s


def test_a_node_with_gpus_takes_longer_to_be_usable_and_five_to_ten_minutes_in_all() -> None:
    assert 5 * 60 <= provisioning_s(gpu=False) < provisioning_s(gpu=True) <= 10 * 60
