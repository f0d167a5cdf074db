"""Which pods hold up the end of a node."""

from datetime import timedelta
from typing import Any

import pytest

from kaito_operator.provisioner.drain import eviction, pods_left
from tests.unit.provisioner.objects import START, at


def a_pod(phase: str = "Running", **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "p", "namespace": "ns", "uid": "u", **metadata},
        "status": {"phase": phase},
    }


@pytest.mark.parametrize(
    ("pod", "evicted", "leaving"),
    [
        (a_pod(), 1, 0),
        (a_pod(ownerReferences=[{"kind": "ReplicaSet"}]), 1, 0),
        (a_pod(ownerReferences=[{"kind": "DaemonSet"}]), 0, 0),
        (a_pod(annotations={"kubernetes.io/config.mirror": "x"}), 0, 0),
        (a_pod("Succeeded"), 0, 0),
        (a_pod("Failed"), 0, 0),
        (a_pod(deletionTimestamp=at(30)), 0, 1),
        (a_pod(deletionTimestamp=at(-30)), 0, 1),
        (a_pod(deletionTimestamp=at(-61)), 0, 0),
    ],
)
def test_pods_that_count(pod: dict[str, Any], evicted: int, leaving: int) -> None:
    left = pods_left([pod], START + timedelta(0))
    assert (len(left.evict), left.leaving, left.none) == (evicted, leaving, not evicted + leaving)


def test_an_eviction_is_of_this_very_pod() -> None:
    assert eviction(a_pod())["deleteOptions"] == {"preconditions": {"uid": "u"}}
