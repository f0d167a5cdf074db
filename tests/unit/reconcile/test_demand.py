"""How many nodes are asked for where some exist."""

from typing import Any

import pytest

from kaito_operator.api.labels import LABEL_INSTANCE_TYPE, LABEL_WORKSPACE
from kaito_operator.reconcile.demand import UNSCHEDULABLE_GRACE_S
from tests.support.objects import Obj, a_node, a_pod, at
from tests.support.world import GPU_TYPE, World, with_nodes_added

LABELS = {"apps": "x"}
GPUS = {"nvidia.com/gpu": "1"}


def there(name: str = "there-0", *, labels: Obj | None = None, **more: Any) -> Obj:
    """A node that was there before, and would do."""
    own = {**LABELS, LABEL_INSTANCE_TYPE: GPU_TYPE, **(labels or {})}
    return a_node(name, labels=own, **{"allocatable": GPUS, **more})


def no_room(name: str = "ws-0", *, since: float = 0) -> Obj:
    scheduled = {"reason": "Unschedulable", "message": "0/1 nodes", "lastTransitionTime": at(since)}
    return a_pod(name, node=None, scheduled=scheduled)


def asked(nodes: list[Obj], *, count: int = 1, labels: Obj | None = LABELS, **more: Any) -> World:
    world = with_nodes_added(count=count, nodes=nodes, labels=labels or {}, **more)
    world.settle()
    return world


NODES: list[tuple[str, Obj, bool]] = [
    ("as it should be", there(), True),
    ("without a type", a_node("there-0", labels=LABELS, allocatable=GPUS), True),
    ("of another type", there(labels={LABEL_INSTANCE_TYPE: "Other"}), False),
    ("without the labels", there(labels={"apps": "y"}), False),
    ("not ready", there(ready=False), False),
    ("cordoned", there(cordoned=True), False),
    ("without enough GPUs", there(allocatable={}), False),
    ("of another Workspace", there(labels={LABEL_WORKSPACE: "other"}), False),
]


@pytest.mark.parametrize(("node", "is_used"), [row[1:] for row in NODES], ids=[row[0] for row in NODES])
def test_a_node_that_exists_is_used_first_where_it_will_do(node: Obj, is_used: bool) -> None:
    assert len(asked([node]).names) == (0 if is_used else 1)


def test_without_labels_no_node_is_taken_for_one_that_was_meant() -> None:
    assert len(asked([there()], labels=None).names) == 1


def test_nodes_are_asked_for_where_those_that_exist_are_too_few() -> None:
    world = asked([there("there-0"), there("there-1")], count=3)
    assert len(world.names) == 1


def test_a_workspace_that_began_without_existing_nodes_goes_on_without() -> None:
    world = asked([])
    world.nodes = [there()]
    world.settle()
    assert len(world.names) == 1


def test_a_pod_that_finds_no_room_asks_for_a_node_after_a_while() -> None:
    world = asked([there()])
    world.pods = [no_room()]
    world.step()
    assert (world.names, world.decide().retry_after_s) == ([], UNSCHEDULABLE_GRACE_S)
    world.later(UNSCHEDULABLE_GRACE_S)
    world.settle()
    assert len(world.names) == 1


def grown() -> World:
    """Beside a node that is full a node was asked for, has joined, and has the pod."""
    world = asked([there()])
    world.pods = [no_room()]
    world.later(UNSCHEDULABLE_GRACE_S)
    world.settle()
    (claim,) = world.names
    world.pods = [
        a_pod("ws-0", node=world.join(claim, gpus=1), ready=True, template_hash=world.template_hash)
    ]
    world.settle()
    return world


def test_a_node_that_was_asked_for_stays_once_its_pod_is_on_it() -> None:
    world = grown()
    assert len(world.names) == 1
    world.later(3600)
    assert world.settle() == 0


@pytest.mark.parametrize(
    "pods",
    [
        [],
        [no_room("ws-1", since=14)],
        [a_pod("ws-1", node=None)],
    ],
)
def test_a_pod_that_is_made_anew_does_not_give_its_node_away(pods: list[Obj]) -> None:
    world = grown()
    world.pods = pods
    world.settle()
    assert len(world.names) == 1


def test_a_pod_that_leaves_for_a_new_version_does_not_give_its_node_away() -> None:
    world = grown()
    world.delete("ws-0")
    world.pods = [*world.pods, a_pod("ws-1", node=None)]
    world.settle()
    assert len(world.names) == 1


def test_a_claim_whose_pod_found_room_elsewhere_is_given_up() -> None:
    world = asked([there()])
    world.pods = [no_room()]
    world.later(UNSCHEDULABLE_GRACE_S)
    world.settle()
    world.pods = [a_pod("ws-0", node="there-0")]
    world.settle()
    assert world.names == []


def test_what_is_known_of_failed_attempts_outlives_a_pod() -> None:
    world = asked([there()])
    world.pods = [no_room()]
    world.later(UNSCHEDULABLE_GRACE_S)
    world.settle()
    world.say(world.names[0], 0, reason="AzureNoCapacity", final=True)
    world.settle()
    before = world.records
    world.pods = [no_room("ws-1", since=UNSCHEDULABLE_GRACE_S)]
    world.settle()
    assert world.records == before


def test_a_pod_that_never_leaves_a_lost_node_does_not_keep_its_successor_from_asking() -> None:
    world = asked([there("there-0"), there("there-1")])
    leaving = a_pod("ws-0", node="there-0")
    leaving["metadata"]["deletionTimestamp"] = at(0)
    world.pods = [leaving, no_room("ws-1")]
    world.later(UNSCHEDULABLE_GRACE_S)
    world.settle()
    assert world.names == [], "it makes room within seconds"
    world.lose("there-0")
    world.settle()
    assert len(world.names) == 1


def test_pods_of_nobody_count_for_nothing() -> None:
    world = asked([there()])
    stray = no_room("mine")
    stray["metadata"]["ownerReferences"] = []
    world.pods = [stray]
    world.later(UNSCHEDULABLE_GRACE_S)
    world.settle()
    assert world.names == []


def test_scaling_up_uses_the_nodes_that_exist_first() -> None:
    world = asked([there("there-0"), there("there-1")])
    world.pods = [a_pod("ws-0", node="there-0")]
    world.settle()
    world.edit(lambda w: w["resource"].update(count=3))
    world.settle()
    assert len(world.names) == 1


def test_where_nodes_are_not_added_nothing_is_asked_for() -> None:
    world = World(with_nodes_added(labels=LABELS).workspace, nodes=[])
    decision = world.step()
    assert (decision.create, decision.finalizers, world.records) == ((), None, [])
