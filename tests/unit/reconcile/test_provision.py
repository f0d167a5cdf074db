"""Which nodes a Workspace may use, and what is asked for where none is named."""

from dataclasses import replace

import pytest

from kaito_operator.api.labels import ANNOTATION_EXISTING_NODES
from kaito_operator.reconcile.nodes import is_ready
from tests.support.claims import asked, fail
from tests.support.objects import DONE, Obj, a_claim, a_node, a_pod
from tests.support.world import GPU_TYPE, RUNTIME, World, with_nodes_added

LABELS = {"apps": "x"}
TEMPLATE = {"template": {"spec": {"containers": [{"name": "c", "image": "i"}]}}}


def a_free_node(name: str = "there") -> Obj:
    return a_node(name, labels=LABELS, allocatable={"nvidia.com/gpu": "1"})


def types(world: World) -> list[str]:
    return [c["spec"]["requirements"][0]["values"][0] for c in world.claims]


def terms(world: World) -> list[list[str]]:
    spec = world.children["Deployment"]["spec"]["template"]["spec"]
    required = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    return [[e["key"] for e in term["matchExpressions"]] for term in required["nodeSelectorTerms"]]


OURS = ["kaito.sh/workspace", "kaito.sh/workspacenamespace"]


def test_pods_may_use_the_added_nodes_alone_where_no_other_will_do() -> None:
    world = asked(labels=LABELS)
    assert terms(world) == [OURS]
    assert world.children["Deployment"]["metadata"]["annotations"][ANNOTATION_EXISTING_NODES] == "false"


def test_pods_may_use_nodes_that_exist_beside_added_ones() -> None:
    world = asked(labels=LABELS, nodes=[a_free_node()], count=2)
    assert terms(world)[0] == OURS
    assert len(terms(world)) == 3
    assert len(world.names) == 1


@pytest.mark.parametrize("nodes_before", [[], [a_free_node()]])
def test_which_nodes_pods_may_use_is_decided_once(nodes_before: list[Obj]) -> None:
    world = asked(labels=LABELS, nodes=nodes_before)
    before = terms(world)
    world.nodes = [a_free_node("other")] if not nodes_before else []
    world.settle()
    assert terms(world) == before


def test_a_type_that_was_chosen_stays_while_claims_ask_for_it() -> None:
    world = asked(instance_type=None)
    (chosen,) = types(world)
    world.claims[0]["spec"]["requirements"][0]["values"] = [GPU_TYPE]
    world.workspace = {**world.workspace, "status": {}}
    world.edit(lambda w: w["resource"].update(count=2))
    world.settle()
    assert chosen != GPU_TYPE
    assert types(world) == [GPU_TYPE, GPU_TYPE]
    assert world.status["instanceType"] == GPU_TYPE


def test_the_type_that_is_tried_now_is_the_one_that_is_told() -> None:
    world = asked(instance_type=None)
    (first,) = types(world)
    fail(world, world.names[0])
    world.step()
    world.claims = []
    world.step()
    assert world.status["instanceType"] == world.records[0]["instanceType"] != first


def test_a_template_without_a_type_says_what_it_needs() -> None:
    world = with_nodes_added(instance_type=None, inference=TEMPLATE)
    world.settle()
    assert (world.claims, world.blocked_on) == ([], "InstanceTypeNeeded")
    assert world.condition("MachineReady") == ("False", "InstanceTypeNeeded")
    assert world.status["blockedOn"]["nextAction"]


def test_a_template_with_a_type_gets_its_nodes() -> None:
    assert types(asked(inference=TEMPLATE)) == [GPU_TYPE]


def test_a_type_that_is_not_in_the_table_is_asked_for_all_the_same() -> None:
    assert types(asked(instance_type="Standard_New_v9")) == ["Standard_New_v9"]


def test_nothing_is_asked_for_where_the_named_type_cannot_hold_the_model() -> None:
    preset = {"preset": {"name": "falcon-40b"}}
    world = with_nodes_added(inference=preset)
    world.settle()
    assert (world.claims, world.status["phase"]) == ([], "Blocked")


def test_where_nodes_are_not_added_claims_are_left_alone_and_the_finalizer_still_guards_them() -> None:
    world = asked()
    world.runtime = replace(RUNTIME, provisioning="none")
    world.settle()
    assert len(world.names) == 1
    assert world.workspace["metadata"]["finalizers"]
    world.edit(lambda w: w["metadata"].update(deletionTimestamp="2026-01-02T03:05:00Z"))
    world.settle()
    assert world.names == []


def test_an_upgrade_from_v0_3_0_keeps_node_and_pod() -> None:
    world = with_nodes_added(labels=LABELS)
    world.claims = [a_claim("wsrandom1", instance_type=GPU_TYPE, reached=DONE, node="aks-1")]
    labels = {**LABELS, "kaito.sh/workspace": "ws", "kaito.sh/workspacenamespace": "ns"}
    world.nodes = [a_node("aks-1", labels=labels, allocatable={"nvidia.com/gpu": "1"})]
    world.pods = [a_pod(node="aks-1", ready=True, template_hash="older")]
    world.settle()
    assert world.names == ["wsrandom1"]
    assert world.condition("MachineReady")[0] == "True"
    assert is_ready(world.nodes[0])


@pytest.mark.parametrize(("instance_type", "machine_type"), [(GPU_TYPE, "gpu"), ("Standard_D4s_v5", "cpu")])
def test_a_claim_says_whether_its_type_has_gpus(instance_type: str, machine_type: str) -> None:
    (claim,) = asked(instance_type=instance_type).claims
    assert [r["values"] for r in claim["spec"]["requirements"] if r["key"].endswith("machine-type")] == [
        [machine_type]
    ]


def test_the_plan_and_its_type_are_told() -> None:
    world = asked()
    assert world.status["instanceType"] == GPU_TYPE
    assert (world.status["plan"]["nodes"], world.status["plan"]["gpus"]) == (1, 1)
    (entry,) = world.status["timeline"]
    assert entry["phase"] == "Launching"
    assert entry["expectedSeconds"] > 60
