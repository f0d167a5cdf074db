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


def test_while_loading_a_request_is_told_to_come_back() -> None:
    with pytest.raises(NotReady) as refused:
        health(Phase.WEIGHTS).require_ready()
    assert refused.value.retry_after_s == 5
