"""How a claim ends, moment by moment."""

from dataclasses import replace

from kaito_operator.provisioner.conditions import WAITING
from kaito_operator.provisioner.decision import (
    Decision,
    DeletePool,
    DrainNode,
    ListPools,
    LookAtPool,
    PatchClaim,
    PatchNode,
    Sight,
    Trouble,
    WriteStatus,
)
from kaito_operator.provisioner.faults import Fault
from kaito_operator.provisioner.pool import Pool
from tests.unit.provisioner.moments import (
    ABSENT,
    CREATING,
    NAME,
    TAGS,
    decided,
    held,
    kinds,
    ready,
    reason,
    there,
)
from tests.unit.provisioner.objects import a_machine, a_node, a_node_claim, at


def test_a_claim_is_let_go_of_only_after_azure_said_404_by_name() -> None:
    going = held(deleted=0)
    assert kinds(decided(going, Sight())) == [ListPools]
    assert kinds(decided(going, ABSENT)) == [LookAtPool]
    assert kinds(decided(going, replace(ABSENT, direct=True, current=False))) == [LookAtPool]
    (action,) = decided(going, replace(ABSENT, direct=True)).actions
    assert isinstance(action, PatchClaim)
    assert action.patch["metadata"]["finalizers"] == []


def test_a_pool_that_is_being_deleted_is_not_deleted_again() -> None:
    decision = decided(held(deleted=0), there("Deleting"))
    assert (decision.actions, decision.watch_pool) == ((), True)


def test_a_node_is_drained_before_its_pool_goes_and_not_for_ever() -> None:
    going = ready()
    going["metadata"]["deletionTimestamp"] = at(0)
    node = a_node(NAME, finalizers=["karpenter.sh/termination"])
    assert kinds(decided(going, there(), 1, nodes=[node])) == [PatchNode, DrainNode]
    drained = decided(going, there(), 1, nodes=[node], drained=frozenset({node["metadata"]["uid"]}))
    assert kinds(drained) == [PatchNode, DeletePool]
    late = decided(going, there(), 600, nodes=[node])
    assert kinds(late) == [PatchNode, DeletePool]
    assert late.actions[1] == DeletePool(NAME, ignore_pdb=True)


def test_a_drain_that_takes_long_is_told_once() -> None:
    going = ready()
    going["metadata"]["deletionTimestamp"] = at(0)
    node = a_node(NAME)
    assert WriteStatus not in kinds(decided(going, there(), 29, nodes=[node]))
    slow = decided(going, there(), 30, nodes=[node])
    assert reason(slow) == ("False", "NodeDraining")
    (status,) = (action.status for action in slow.actions if isinstance(action, WriteStatus))
    going["status"] |= status
    assert WriteStatus not in kinds(decided(going, there(), 31, nodes=[node]))


def test_a_node_claim_decides_how_long_its_drain_may_take() -> None:
    going = held(a_node_claim(terminationGracePeriod="1m30s"), deleted=0)
    node = a_node(NAME)
    assert DrainNode in kinds(decided(going, there(), 89, nodes=[node]))
    assert DeletePool in kinds(decided(going, there(), 90, nodes=[node]))


def test_a_dead_node_is_not_drained() -> None:
    decision = decided(held(deleted=0), there(), nodes=[a_node(NAME, ready=False)])
    assert kinds(decision) == [PatchNode, DeletePool]


def test_anothers_pool_of_the_same_name_is_left_alone() -> None:
    theirs = replace(there(), pool=Pool(NAME, "Succeeded", tags={**TAGS, "kaito-claim-uid": "another"}))
    assert kinds(decided(held(deleted=0), theirs)) == [PatchClaim]
    assert reason(decided(held(), theirs)) == ("False", "PoolNameTaken")


def test_why_the_end_is_long_in_coming_is_told() -> None:
    trouble = Trouble(Fault("AzureAuthFailed", "no role"), 60.0)
    decision = decided(held(deleted=0, steps=(CREATING, WAITING, WAITING)), there(), trouble=trouble)
    assert (kinds(decision), reason(decision)) == ([WriteStatus], ("False", "AzureAuthFailed"))
    assert decision.retry_after_s == 60


def test_a_claim_that_another_provisioner_holds_is_left_to_it() -> None:
    going = a_machine()
    going["metadata"] |= {"deletionTimestamp": at(0), "finalizers": ["other/x"]}
    assert decided(going, there()) == Decision()
