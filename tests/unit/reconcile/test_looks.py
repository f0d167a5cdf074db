"""When a stuck pod's Events are listed, and when no more."""

from datetime import timedelta

import pytest

from kaito_operator.reconcile.looks import due_looks
from kaito_operator.reconcile.observed import ClusterFacts, Observed, PodEvents
from tests.support.objects import NOW, Obj, a_container, a_pod, ended, running, waiting

# The pods of `a_pod` got their node 30 s before NOW.
CREATING = waiting("ContainerCreating")


def observed(*, looked_s: float | None = None) -> Observed:
    """`looked_s`: seconds after the pod got its node at which its Events were last listed."""
    if looked_s is None:
        return Observed(ClusterFacts((1, 36)))
    events = PodEvents(NOW + timedelta(seconds=looked_s - 30), ())
    return Observed(ClusterFacts((1, 36)), pod_events={"uid-ws-1": events})


def stuck(*containers: Obj) -> Obj:
    return a_pod(containerStatuses=list(containers or (CREATING,)))


@pytest.mark.parametrize(("age_s", "due", "next_s"), [(4, 0, 1), (5, 1, None), (30, 1, None)])
def test_the_first_look_is_after_five_seconds(age_s: float, due: int, next_s: float | None) -> None:
    looks = due_looks([stuck()], observed(), NOW + timedelta(seconds=age_s - 30))
    assert (len(looks.now), looks.next_in_s) == (due, next_s)


@pytest.mark.parametrize(("looked_s", "next_s"), [(5, -10), (20, 30), (30, 30), (60, 150), (180, 570)])
def test_each_look_waits_longer_than_the_one_before(looked_s: float, next_s: float) -> None:
    looks = due_looks([stuck()], observed(looked_s=looked_s), NOW)
    assert (len(looks.now), looks.next_in_s) == ((1, None) if next_s <= 0 else (0, next_s))


def test_after_ten_minutes_nobody_looks_any_more() -> None:
    later = NOW + timedelta(hours=1)
    looks = due_looks([stuck()], observed(looked_s=601), later)
    assert (looks.now, looks.next_in_s) == ((), None)


GOES_ON = [
    ("a container runs", running()),
    ("a container has run", a_container(state=ended(1))),
    ("a container ran before", waiting("CrashLoopBackOff", lastState=ended(1))),
]


@pytest.mark.parametrize("container", [row[1] for row in GOES_ON], ids=[row[0] for row in GOES_ON])
def test_no_look_is_due_once(container: Obj) -> None:
    looks = due_looks([stuck(container)], observed(), NOW)
    assert (looks.now, looks.next_in_s) == ((), None)


def test_a_pod_without_a_node_has_nothing_to_be_looked_at() -> None:
    looks = due_looks([a_pod(node=None)], observed(), NOW)
    assert (looks.now, looks.next_in_s) == ((), None)
