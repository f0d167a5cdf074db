import pytest

from inference_server.engine import Phase
from inference_server.errors import NotReady
from inference_server.health import Health


def health(*phases: Phase) -> Health:
    result = Health("m", clock=lambda: 0.0)
    for phase in phases:
        result.enter(phase)
    return result


CODES = [
    ((), 503, 200),
    ((Phase.WEIGHTS,), 503, 200),
    ((Phase.WEIGHTS, Phase.READY), 200, 200),
    ((Phase.READY, Phase.DRAINING), 503, 200),
    ((Phase.READY, Phase.DRAINING, Phase.READY), 503, 200),
    ((Phase.FAILED,), 500, 500),
    ((Phase.FAILED, Phase.READY), 500, 500),
]


@pytest.mark.parametrize(("phases", "ready", "live"), CODES)
def test_probes_answer_by_phase(phases: tuple[Phase, ...], ready: int, live: int) -> None:
    found = health(*phases)
    assert (found.readiness()[0], found.liveness()[0]) == (ready, live)


def test_the_first_failure_is_the_one_that_is_told() -> None:
    found = health()
    found.fail("the first")
    found.fail("the second")
    assert found.readiness() == (500, {"detail": "the first"})


def test_the_load_is_told_with_its_progress_and_what_was_expected() -> None:
    clock = iter([0.0, 12.0])
    found = Health("m", clock=lambda: next(clock), expected_s=40.0)
    found.enter(Phase.WEIGHTS, 0.25)
    assert found.readiness() == (
        503,
        {
            "status": "Loading",
            "phase": "weights",
            "elapsed_s": 12.0,
            "expected_s": 40.0,
            "progress": 0.25,
            "model": "m",
        },
    )


def test_without_an_expectation_the_time_is_null() -> None:
    assert health(Phase.WEIGHTS).readiness()[1]["expected_s"] is None


PROGRESS = [
    ((Phase.STARTING, None), 0.0),
    ((Phase.LIBRARIES, None), 0.0),
    ((Phase.WEIGHTS, None), 0.0),
    ((Phase.WEIGHTS, 0.4), 0.4),
    ((Phase.ADAPTERS, None), 1.0),
    ((Phase.READY, None), 1.0),
]


@pytest.mark.parametrize(("entered", "progress"), PROGRESS)
def test_progress_is_that_of_the_weights(entered: tuple[Phase, float | None], progress: float) -> None:
    found = health()
    found.enter(*entered)
    assert found.progress == progress


def test_more_of_the_same_phase_is_no_new_phase() -> None:
    found = health()
    assert found.enter(Phase.WEIGHTS)
    assert not found.enter(Phase.WEIGHTS, 0.5)
    assert found.enter(Phase.READY)
    found.fail("x")
    assert not found.enter(Phase.READY)


def test_draining_is_told_without_progress() -> None:
    body = health(Phase.READY, Phase.DRAINING).readiness()[1]
    assert body["status"] == "Draining"
    assert "progress" not in body


def test_the_time_to_ready_is_kept() -> None:
    clock = iter([0.0, 7.5])
    found = Health("m", clock=lambda: next(clock))
    found.enter(Phase.READY)
    assert found.load_seconds == 7.5


def test_while_loading_a_request_is_told_to_come_back() -> None:
    with pytest.raises(NotReady) as refused:
        health(Phase.WEIGHTS).require_ready()
    assert refused.value.retry_after_s == 5
