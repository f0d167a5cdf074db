"""What is remembered of claims, and whom their events wake."""

from typing import Any

import pytest

from kaito_operator.api.labels import LABEL_WORKSPACE, LABEL_WORKSPACE_NAMESPACE
from kaito_operator.reconcile.observed import ClusterFacts
from kaito_operator.shell.stores import Stores
from tests.support.objects import DONE, NOW, Obj, a_claim, a_node, at
from tests.unit.shell.conftest import Edge

WS = ("ns", "ws")
FACTS = ClusterFacts((1, 36))
PLURALS = [("machines", "Machine"), ("nodeclaims", "NodeClaim")]


def versioned(obj: Obj, version: int = 1, **metadata: Any) -> Obj:
    return {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(version), **metadata}}


def seen(edge: Edge) -> list[str]:
    return [c["metadata"]["name"] for c in edge.stores.observe(WS, FACTS).claims]


@pytest.mark.parametrize(("plural", "kind"), PLURALS)
async def test_what_happens_to_a_claim_wakes_the_workspace_that_its_labels_name(
    edge: Edge, plural: str, kind: str
) -> None:
    edge.sees(plural, versioned(a_claim("c", kind=kind)), "ADDED")
    assert (await edge.woken(), seen(edge)) == ([WS], ["c"])
    edge.sees(plural, versioned(a_claim("c", kind=kind, reached=DONE, node="n"), 2))
    assert await edge.woken() == [WS]
    edge.sees(plural, versioned(a_claim("c", kind=kind, reached=DONE, node="n"), 3), "DELETED")
    assert (await edge.woken(), seen(edge)) == ([WS], [])


async def test_a_claim_without_our_labels_concerns_nobody(edge: Edge) -> None:
    edge.sees("nodeclaims", versioned(a_claim("c", kind="NodeClaim"), labels={}), "ADDED")
    assert (await edge.woken(), seen(edge)) == ([], [])


async def test_a_claim_that_gets_other_labels_wakes_both_workspaces(edge: Edge) -> None:
    edge.sees("machines", versioned(a_claim("c")), "ADDED")
    await edge.woken()
    labels = {LABEL_WORKSPACE: "other", LABEL_WORKSPACE_NAMESPACE: "ns"}
    edge.sees("machines", versioned(a_claim("c"), 2, labels=labels))
    assert sorted(await edge.woken()) == [("ns", "other"), WS]
    assert seen(edge) == []


async def test_claims_are_found_by_both_labels_of_both_kinds(edge: Edge) -> None:
    for plural, kind in PLURALS:
        edge.sees(plural, versioned(a_claim(f"of-{kind}", kind=kind)), "ADDED")
    elsewhere = {LABEL_WORKSPACE: "ws", LABEL_WORKSPACE_NAMESPACE: "elsewhere"}
    edge.sees("machines", versioned(a_claim("theirs"), labels=elsewhere), "ADDED")
    assert seen(edge) == ["of-Machine", "of-NodeClaim"]


async def test_a_claim_that_nobody_here_deleted_has_vanished(edge: Edge) -> None:
    edge.sees("machines", versioned(a_claim("c")), "ADDED")
    edge.sees("machines", versioned(a_claim("c"), 2), "DELETED")
    assert list(edge.stores.observe(WS, FACTS).vanished) == ["c"]


async def test_a_claim_that_we_deleted_has_not_vanished(edge: Edge) -> None:
    edge.sees("machines", versioned(a_claim("c")), "ADDED")
    edge.stores.remember_deletion("uid-c", versioned(a_claim("c", deleting=True), 2))
    (left,) = edge.stores.observe(WS, FACTS).claims
    assert "deletionTimestamp" in left["metadata"]
    edge.sees("machines", versioned(a_claim("c"), 3), "DELETED")
    assert edge.stores.observe(WS, FACTS).vanished == {}
    assert edge.stores._deleted_by_us == set(), "it is not remembered without end"


async def test_a_later_claim_of_the_same_name_can_vanish(edge: Edge) -> None:
    edge.sees("machines", versioned(a_claim("c")), "ADDED")
    edge.stores.remember_deletion("uid-c", {"kind": "Status"})
    edge.sees("machines", versioned(a_claim("c"), 2), "DELETED")
    edge.sees("machines", versioned(a_claim("c"), 3, uid="later"), "ADDED")
    edge.sees("machines", versioned(a_claim("c"), 4, uid="later"), "DELETED")
    assert list(edge.stores.observe(WS, FACTS).vanished) == ["c"]


async def test_what_vanished_is_not_remembered_without_end(edge: Edge) -> None:
    for n in range(1100):
        edge.stores.forget_claim(a_claim(f"c{n}"), NOW)
    assert len(edge.stores.vanished) == 1024
    assert "c1099" in edge.stores.vanished


async def test_deletions_of_pods_leave_nothing_behind(edge: Edge) -> None:
    edge.stores.remember_deletion("uid-pod", {"kind": "Pod", "metadata": {}})
    assert edge.stores._deleted_by_us == set()


async def test_a_node_wakes_the_workspace_that_it_was_added_for(edge: Edge) -> None:
    labels = {LABEL_WORKSPACE: "ws", LABEL_WORKSPACE_NAMESPACE: "ns"}
    edge.sees("nodes", versioned(a_node("n", labels=labels)), "ADDED")
    assert await edge.woken() == [WS]
    edge.sees("nodes", versioned(a_node("n", labels=labels, allocatable={"nvidia.com/gpu": "1"}), 2))
    assert await edge.woken() == [WS]
    edge.sees("nodes", versioned(a_node("n", labels=labels, ready=False), 3), "DELETED")
    assert await edge.woken() == [WS]


def with_nodes(lost: int, all_of_them: int, *, mine_lost: bool) -> Stores:
    """The stores of a cluster with so many claims' nodes, some of them lost."""
    stores = Stores()
    for n in range(all_of_them):
        owner = "ws" if n == 0 else f"other-{n}"
        is_lost = n < lost if mine_lost else all_of_them - lost <= n
        claim = a_claim(f"c{n}", reached=DONE, node=f"n{n}")
        claim["metadata"]["labels"][LABEL_WORKSPACE] = owner
        stores.remember(versioned(claim))
        stores.nodes.put(versioned(a_node(f"n{n}", ready=not is_lost)))
    return stores


LOST = [(0, 10, False), (1, 1, False), (1, 10, False), (2, 10, False), (3, 10, True), (2, 2, True)]


@pytest.mark.parametrize(("lost", "all_of_them", "many"), LOST)
def test_many_nodes_are_lost_when_more_than_a_fifth_are(lost: int, all_of_them: int, many: bool) -> None:
    stores = with_nodes(lost, all_of_them, mine_lost=True)
    assert stores.observe(WS, FACTS).many_nodes_lost == many


def test_others_losses_are_looked_at_only_by_those_who_lost_a_node_too() -> None:
    stores = with_nodes(5, 10, mine_lost=False)
    assert not stores.observe(WS, FACTS).many_nodes_lost


def test_a_node_that_is_gone_is_lost_too() -> None:
    stores = with_nodes(3, 10, mine_lost=True)
    for n in range(3):
        stores.nodes.delete({"name": f"n{n}"})
    assert stores.observe(WS, FACTS).many_nodes_lost


async def test_the_answer_to_a_creation_is_known_before_its_event_and_the_event_is_no_news(
    edge: Edge,
) -> None:
    edge.stores.remember(versioned(a_claim("c")))
    assert seen(edge) == ["c"]
    edge.sees("machines", versioned(a_claim("c")), "ADDED")
    assert await edge.woken() == []
    edge.sees("machines", versioned(a_claim("c", reached=0, since=0), 2))
    assert await edge.woken() == [WS]
    assert edge.stores.observe(WS, FACTS).claims[0]["metadata"]["creationTimestamp"] == at(0)
