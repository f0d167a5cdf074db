"""Decisions of single moments that the worlds of test_invariants pass too quickly to show."""

from dataclasses import replace
from typing import Any

import pytest

from kaito_operator.provisioner.claims import is_managed
from kaito_operator.provisioner.conditions import DONE, WAITING, failed, pending
from kaito_operator.provisioner.decision import (
    Action,
    AskForCause,
    Decision,
    DeleteClaim,
    DeletePool,
    ListenToKubelet,
    ListPools,
    LookAtPool,
    PatchClaim,
    PatchNode,
    PutPool,
    Sight,
    Trouble,
    WriteStatus,
)
from kaito_operator.provisioner.faults import AzureError, Fault
from tests.unit.provisioner.moments import (
    ABSENT,
    CREATING,
    NAME,
    decided,
    held,
    kinds,
    ready,
    reason,
    there,
)
from tests.unit.provisioner.objects import a_machine, a_node, a_node_claim, at


@pytest.mark.parametrize(
    ("change", "managed"),
    [
        ({}, True),
        ({"labels": {"kaito.sh/ragengine": ""}}, True),
        ({"labels": {"karpenter.kaito.sh/workspace-name": "w"}}, False),
        ({"labels": {}}, False),
        ({"labels": {}, "annotations": {"kaito.sh/launch-began": "x"}}, True),
    ],
)
def test_machines_are_served_by_their_labels(change: dict[str, Any], managed: bool) -> None:
    machine = a_machine()
    machine["metadata"] |= change
    assert is_managed(machine) is managed


@pytest.mark.parametrize(
    ("group", "kind", "labels", "managed"),
    [
        ("kaito.sh", "KaitoNodeClass", {}, True),
        ("karpenter.azure.com", "AKSNodeClass", {}, False),
        ("karpenter.azure.com", "AKSNodeClass", {"kaito.sh/workspace": "w"}, True),
        ("karpenter.k8s.aws", "EC2NodeClass", {"karpenter.kaito.sh/workspace-name": "w"}, False),
    ],
)
def test_node_claims_are_served_by_class_or_label(
    group: str, kind: str, labels: dict[str, str], managed: bool
) -> None:
    claim = a_node_claim(nodeClassRef={"group": group, "kind": kind, "name": "any"})
    claim["metadata"]["labels"] = labels
    assert is_managed(claim) is managed


def test_nothing_is_asked_of_azure_before_the_finalizer_is_stored() -> None:
    decision = decided(a_machine())
    assert kinds(decision) == [PatchClaim]
    (action,) = decision.actions
    assert isinstance(action, PatchClaim)
    assert action.patch["metadata"] == {
        "resourceVersion": "1",
        "finalizers": ["karpenter.sh/termination"],
        "annotations": {"kaito.sh/launch-began": at(0)},
    }


def test_a_claim_that_cannot_be_served_says_so_and_is_never_held() -> None:
    machine = a_machine(requirements=[])
    decision = decided(machine)
    assert (kinds(decision), reason(decision)) == ([WriteStatus], ("False", "ClaimInvalid"))


def test_a_pool_is_asked_for_only_when_it_is_certain_that_there_is_none() -> None:
    assert kinds(decided(held(), Sight())) == [ListPools]
    assert kinds(decided(held(), replace(ABSENT, age_s=31))) == [ListPools]
    assert kinds(decided(held(), replace(ABSENT, current=False))) == [LookAtPool]
    assert kinds(decided(held(), ABSENT)) == [PutPool]


def test_a_full_cluster_is_told_without_asking() -> None:
    decision = decided(held(), pools=100)
    assert (kinds(decision), reason(decision)) == ([WriteStatus], ("False", "PoolLimitReached"))
    assert decision.retry_after_s == 60


def test_a_pool_that_is_created_is_watched_until_the_launch_budget_ends() -> None:
    decision = decided(held(), there("Creating"), 100)
    assert (reason(decision), decision.watch_pool, decision.retry_after_s) == (
        ("False", "PoolCreating"),
        True,
        1100,
    )
    late = decided(held(steps=(CREATING, WAITING, WAITING)), there("Creating"), 1200)
    assert kinds(late) == [WriteStatus, DeletePool]
    assert reason(late) == ("False", "LaunchTimeout")


def test_a_request_that_never_gets_through_ends_with_the_launch_budget() -> None:
    trouble = Trouble(Fault("AzureThrottled", "slow down"), 0.0)
    decision = decided(held(), seconds=1201, trouble=trouble)
    assert (kinds(decision), reason(decision)) == ([WriteStatus], ("False", "LaunchTimeout"))


def test_a_throttle_is_told_in_its_first_words_only() -> None:
    first = decided(held(), trouble=Trouble(Fault("AzureThrottled", "wait 30 seconds"), 30.0))
    assert (reason(first), first.retry_after_s) == (("False", "AzureThrottled"), 30)
    told = held(steps=(pending("AzureThrottled", detail="wait 30 seconds"), WAITING, WAITING))
    again = decided(told, trouble=Trouble(Fault("AzureThrottled", "wait 29 seconds"), 29.0))
    assert (again.actions, again.retry_after_s) == ((), 29)


def test_a_refusal_for_good_gives_the_claim_up_and_it_is_not_asked_again() -> None:
    trouble = Trouble(Fault("AzureQuotaExceeded", "0 left"), 0.0)
    decision = decided(held(), trouble=trouble)
    assert (kinds(decision), reason(decision)) == ([WriteStatus], ("False", "AzureQuotaExceeded"))
    given_up = held(steps=(failed("AzureQuotaExceeded", type="t", detail="0 left"), WAITING, WAITING))
    assert decided(given_up) == Decision()
    assert kinds(decided(given_up, there("Failed"))) == [DeletePool]


@pytest.mark.parametrize("obj", [a_machine(), a_node_claim()], ids=["Machine", "NodeClaim"])
def test_a_claim_that_is_given_up_says_false_in_either_style(obj: dict[str, Any]) -> None:
    decision = decided(held(obj), trouble=Trouble(Fault("AzureNoCapacity", "none"), 0.0))
    (action,) = decision.actions
    assert isinstance(action, WriteStatus)
    first = next(c for c in action.status["conditions"] if c["type"].endswith("Launched"))
    assert (first["status"], first["reason"]) == ("False", "AzureNoCapacity")


def test_a_failed_pool_is_asked_for_its_cause_and_then_deleted() -> None:
    machine = held(steps=(CREATING, WAITING, WAITING))
    assert kinds(decided(machine, there("Failed", may_have_cause=True))) == [AskForCause]
    decision = decided(machine, there("Failed", cause=AzureError(200, "AllocationFailed", "none")))
    assert (kinds(decision), reason(decision)) == ([WriteStatus, DeletePool], ("False", "AzureNoCapacity"))
    unexplained = decided(machine, there("Failed"))
    assert reason(unexplained) == ("False", "PoolFailed")


def test_a_pool_that_was_requested_and_is_not_there_is_looked_for_by_name() -> None:
    machine = held(steps=(CREATING, WAITING, WAITING))
    assert kinds(decided(machine, ABSENT)) == [LookAtPool]
    gone = replace(ABSENT, direct=True)
    assert reason(decided(machine, gone)) == ("False", "PoolRemoved")
    assert kinds(decided(machine, replace(gone, may_have_cause=True))) == [AskForCause]
    cause = AzureError(200, "QuotaExceeded", "late")
    assert reason(decided(machine, replace(gone, cause=cause))) == ("False", "AzureQuotaExceeded")


def test_a_node_that_does_not_join_has_until_the_registration_budget_ends() -> None:
    machine = held(steps=(DONE, pending("NodeNotFound", pool=NAME), WAITING))
    waiting = decided(machine, there(), 800)
    assert (waiting.actions, waiting.retry_after_s) == ((), 100)
    late = decided(machine, there(), 900)
    assert (kinds(late), reason(late)) == ([WriteStatus, DeletePool], ("False", "NodeNeverJoined"))


def test_a_node_that_is_not_ready_for_a_moment_after_it_joined_is_not_told() -> None:
    machine = held(steps=(CREATING, WAITING, WAITING))
    node = a_node(NAME, ready=False, created=60)
    early = decided(machine, there(), 61, nodes=[node])
    assert (early.actions, early.retry_after_s) == ((), 14)
    later = decided(machine, there(), 76, nodes=[node])
    assert (kinds(later), reason(later)) == ([PatchNode, WriteStatus], ("False", "NodeNotReady"))


def test_a_node_without_the_claims_taints_is_registered_at_once() -> None:
    node = a_node(NAME, ready=False, created=60)
    node["spec"]["taints"] = []
    decision = decided(held(steps=(CREATING, WAITING, WAITING)), there(), 61, nodes=[node])
    assert kinds(decision) == [PatchNode, WriteStatus]


def test_a_node_that_is_never_usable_fails_the_claim() -> None:
    machine = held(steps=(DONE, DONE, pending("NodeNotReady", node="n", detail="x")))
    machine["status"]["nodeName"] = a_node(NAME)["metadata"]["name"]
    node = a_node(NAME, ready=False)
    late = decided(machine, there(), 1200, nodes=[node])
    assert DeletePool in kinds(late)
    assert reason(late) == ("False", "NodeNotInitialized")


def test_a_node_that_was_usable_once_never_fails_the_claim() -> None:
    node = a_node(NAME, ready=False, labels={"karpenter.sh/initialized": "true"})
    decision = decided(ready(), there(), 10**6, nodes=[node])
    assert reason(decision) == ("False", "NodeNotReady")
    assert DeletePool not in kinds(decision)


def test_a_node_that_is_lost_has_the_pools_looked_at() -> None:
    decision = decided(ready(), there(age_s=60))
    assert (kinds(decision), reason(decision)) == ([WriteStatus, ListPools], ("False", "NodeNotFound"))
    assert ListPools not in kinds(decided(ready(), there()))


def test_a_failed_upgrade_does_not_cost_a_claim_its_ready_node() -> None:
    node = a_node(NAME)
    decision = decided(ready(), there("Failed"), nodes=[node])
    assert DeletePool not in kinds(decision)
    assert AskForCause not in kinds(decision)


def test_the_claim_follows_the_pool_to_its_new_node() -> None:
    nodes = [a_node(NAME, 0, ready=False), a_node(NAME, 1, created=50)]
    decision = decided(ready(), there("Upgrading"), 100, nodes=nodes)
    (status,) = [a.status for a in decision.actions if isinstance(a, WriteStatus)]
    assert status["nodeName"] == nodes[1]["metadata"]["name"]
    assert status["providerID"] == nodes[1]["spec"]["providerID"]


GOING: dict[str, Any] = {"finalizers": ["karpenter.sh/termination"], "deletionTimestamp": at(50)}
ALIVE = {a_node(NAME)["metadata"]["uid"]: True}
DEAF = {a_node(NAME)["metadata"]["uid"]: False}


@pytest.mark.parametrize(
    ("nodes", "sight", "alive", "action"),
    [
        ([a_node(NAME, **GOING)], there(), ALIVE, DeleteClaim),
        ([a_node(NAME, **GOING)], there(), DEAF, PatchNode),
        ([a_node(NAME, **GOING)], there(), {}, ListenToKubelet),
        ([a_node(NAME, **GOING)], there(age_s=60), {}, LookAtPool),
        ([a_node(NAME, **GOING)], there("Upgrading"), {}, PatchNode),
        ([a_node(NAME, ready=False, **GOING)], there(), {}, PatchNode),
        ([a_node(NAME, **GOING), a_node(NAME, 1, created=50)], there(), {}, PatchNode),
    ],
)
def test_only_a_person_can_mean_the_machine_by_deleting_its_node(
    nodes: list[dict[str, Any]], sight: Sight, alive: dict[str, bool], action: type[Action]
) -> None:
    decision = decided(ready(), sight, 65, nodes=nodes, alive=alive)
    leaving = [a for a in decision.actions if not isinstance(a, WriteStatus)]
    assert type(leaving[-1]) is action


def test_a_kubelet_is_given_time_to_speak() -> None:
    decision = decided(ready(), there(), 60, nodes=[a_node(NAME, **GOING)])
    assert not {DeleteClaim, ListenToKubelet} & set(kinds(decision))
    assert decision.retry_after_s == 5


REPAIR = {"repair": 600.0}
DEAD = {"nodes": [a_node(NAME, ready=False, labels={"karpenter.sh/initialized": "true"})]}


def test_repair_is_off_unless_it_is_asked_for() -> None:
    assert DeleteClaim not in kinds(decided(ready(), there(), 10**6, may_repair=True, **DEAD))


def test_a_node_that_stays_unready_is_repaired_when_its_time_is_up() -> None:
    early = decided(ready(), there(), 500, may_repair=True, budgets=REPAIR, **DEAD)
    assert DeleteClaim not in kinds(early)
    assert early.retry_after_s == 100
    assert DeleteClaim in kinds(decided(ready(), there(), 600, may_repair=True, budgets=REPAIR, **DEAD))


def test_repair_waits_while_too_much_is_unwell_and_spares_who_asks_for_it() -> None:
    held_back = decided(ready(), there(), 600, may_repair=False, budgets=REPAIR, **DEAD)
    assert DeleteClaim not in kinds(held_back)
    assert held_back.retry_after_s == 60
    spared = ready()
    spared["metadata"]["annotations"]["kaito.sh/do-not-repair"] = "true"
    assert DeleteClaim not in kinds(decided(spared, there(), 600, may_repair=True, budgets=REPAIR, **DEAD))
