"""The pods of a group are replaced together."""

from typing import Any

import pytest

from kaito_operator.api.reasons import finding
from kaito_operator.planner.plan import Plan
from kaito_operator.reconcile.group import old_group, told_by_group
from kaito_operator.reconcile.observed import ClusterFacts, Observed
from tests.support.objects import Obj, a_pod, at

GROUP = Plan("preset", 2, distributed=True)


def a_set(*, generation: int = 2, seen: int = 2) -> Obj:
    return {"metadata": {"generation": generation}, "status": {"observedGeneration": seen}}


def names(pods: list[Obj], workload: Obj | None, plan: Plan = GROUP) -> list[str]:
    children = {"StatefulSet": workload} if workload else {}
    observed = Observed(ClusterFacts((1, 36)), children=children, pods=tuple(pods))
    return [ref.name for ref in old_group(plan, observed, "new")]


def pods_of(*hashes: str) -> list[Obj]:
    return [a_pod(f"ws-{n}", template_hash=found) for n, found in enumerate(hashes)]


GROUPS: list[tuple[str, list[Obj], Obj | None, list[str]]] = [
    ("all new", pods_of("new", "new"), a_set(), []),
    ("all old", pods_of("old", "old"), a_set(), ["ws-0", "ws-1"]),
    ("one old", pods_of("new", "old"), a_set(), ["ws-0", "ws-1"]),
    ("not seen by the controller", pods_of("old", "old"), a_set(seen=1), []),
    ("no workload", pods_of("old", "old"), None, []),
    ("no pods", [], a_set(), []),
]


@pytest.mark.parametrize(("pods", "workload", "gone"), [r[1:] for r in GROUPS], ids=[r[0] for r in GROUPS])
def test_an_older_pod_takes_its_whole_group_with_it(
    pods: list[Obj], workload: Obj | None, gone: list[str]
) -> None:
    assert names(pods, workload) == gone


def test_what_is_no_group_is_left_to_its_controller() -> None:
    assert names(pods_of("old"), a_set(), Plan("preset", 2)) == []


@pytest.mark.parametrize("change", [{"deletionTimestamp": at(0)}, {"ownerReferences": []}])
def test_a_pod_that_leaves_or_is_not_of_the_group_is_left_alone(change: dict[str, Any]) -> None:
    found = pods_of("old")
    found[0]["metadata"].update(change)
    assert names(found, a_set()) == []


LOST = "a process of the group is lost (Connection closed by peer); all of them restart and meet again"
ENDS: list[tuple[str, dict[str, str], str]] = [
    ("EngineFailed", {"detail": LOST}, "GroupRestarting"),
    ("EngineFailed", {"detail": "the processes of the group did not meet: timed out"}, "GroupRestarting"),
    ("ServerCrashed", {"exit_code": "0", "detail": "Completed"}, "GroupRestarting"),
    ("EngineFailed", {"detail": "CUDA error: uncorrectable ECC"}, "EngineFailed"),
    ("ServerCrashed", {"exit_code": "1", "detail": "Error"}, "ServerCrashed"),
    ("OutOfMemory", {}, "OutOfMemory"),
]


@pytest.mark.parametrize(("code", "facts", "told"), ENDS)
def test_a_pod_that_ended_because_another_did_is_told_as_restarting(
    code: str, facts: dict[str, str], told: str
) -> None:
    facts = {"pod": "ws-1", "namespace": "ns", "name": "ws", "container": "ws", "node": "n", **facts}
    found = told_by_group(finding(code, **facts), GROUP, "20 s")
    assert found.reason.code == told
    assert found.blocked == (told != "GroupRestarting")
    assert "<" not in found.message + found.next_action


def test_outside_a_group_every_end_is_the_pods_own() -> None:
    own = finding("EngineFailed", detail=LOST)
    assert told_by_group(own, Plan("preset", 1, distributed=True), "20 s") is own
