from typing import Any

import pytest

from tools.bench.chronicle import Chronicle, percentile
from tools.bench.client import Event
from tools.bench.errors import BenchError


def told(phase: str, waits_for: str = "", *, ready: bool = False) -> dict[str, Any]:
    conditions = [{"type": "WorkspaceReady", "status": "True" if ready else "False"}]
    blocked = {"blockedOn": {"reason": waits_for}} if waits_for else {}
    return {"phase": phase, "conditions": conditions, **blocked}


def event(at: float, status: dict[str, Any] | None = None, what: str = "MODIFIED") -> Event:
    return Event(what, {"metadata": {"name": "ws"}, **({"status": status} if status else {})}, at)


@pytest.fixture
def chronicle() -> Chronicle:
    """A Workspace's life, with a state that is told twice."""
    seen = Chronicle()
    seen.workspace(event(1.5, what="ADDED"))
    seen.stored("ws", 1.0)
    seen.workload(event(2.0))
    seen.workload(event(7.0))
    seen.workspace(event(3.0, told("Provisioning", "NodeLaunching")))
    seen.workspace(event(4.0, told("Provisioning", "NodeJoining")))
    seen.workspace(event(5.0, told("Provisioning", "NodeJoining")))
    seen.workspace(event(6.0, told("Ready", ready=True)))
    seen.workspace(event(8.0, told("Ready", ready=True)))
    return seen


def test_times_count_from_the_first_word_of_the_creation(chronicle: Chronicle) -> None:
    assert chronicle.since_creation("workload") == [1.0]
    assert chronicle.since_creation("ready") == [5.0]
    assert (chronicle.count("ready"), chronicle.count("gone")) == (1, 0)


def test_phases_and_steps_are_changes_and_not_states(chronicle: Chronicle) -> None:
    moments = chronicle.workspaces["ws"]
    assert moments.phases == ["Provisioning", "Ready"]
    assert moments.steps == 3


def test_a_deleted_workspace_is_gone(chronicle: Chronicle) -> None:
    chronicle.workspace(event(9.0, told("Deleting"), what="DELETED"))
    assert chronicle.since_creation("gone") == [8.0]


def test_claims_come_and_go(chronicle: Chronicle) -> None:
    chronicle.claim(event(1.0, what="ADDED"))
    assert (len(chronicle.claims), len(chronicle.claims_gone)) == (1, 0)
    chronicle.claim(event(2.0, what="DELETED"))
    assert chronicle.claims_gone.keys() == chronicle.claims.keys()


async def test_a_wait_that_is_too_long_tells_what_there_is(chronicle: Chronicle) -> None:
    with pytest.raises(BenchError, match="1 created, 1 workload, 1 ready, 0 gone"):
        await chronicle.until(lambda: False, timeout_s=0.0, say=lambda _: None)


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([3.0], 0.5, 3.0),
        ([1.0, 2.0], 0.5, 1.0),
        ([2.0, 1.0, 3.0], 0.5, 2.0),
        ([float(n) for n in range(1, 101)], 0.99, 99.0),
        ([float(n) for n in range(1, 101)], 1.0, 100.0),
        ([float(n) for n in range(1, 21)], 0.99, 20.0),
    ],
)
def test_a_percentile_is_one_of_the_values(values: list[float], share: float, expected: float) -> None:
    assert percentile(values, share) == expected
