"""Which claims are made and which go, one life after another."""

import pytest

from kaito_operator.api.labels import ANNOTATION_WORKSPACE_UID
from tests.support.claims import asked, fail, joined, name
from tests.support.objects import DONE, LAUNCHED, Obj, a_claim, a_pod
from tests.support.world import GPU_TYPE, UNKNOWN_KIND, with_nodes_added


def test_all_missing_claims_are_made_in_one_step() -> None:
    world = with_nodes_added(count=3)
    made = world.step().create
    assert [obj["metadata"]["name"] for obj in made] == [name(0), name(1), name(2)]


def test_the_workload_is_applied_beside_the_claims() -> None:
    assert [obj["kind"] for obj in with_nodes_added().step().apply] == ["ConfigMap", "Deployment", "Service"]


def test_deciding_again_changes_nothing() -> None:
    world = asked(count=2)
    again = world.decide()
    assert (again.create, again.delete, again.status, again.finalizers) == ((), (), None, None)


def test_a_new_claim_is_looked_at_again_though_nobody_touches_it() -> None:
    assert with_nodes_added().step().retry_after_s == 60


def test_a_lost_answer_to_a_creation_makes_no_second_claim() -> None:
    world = with_nodes_added(count=6)
    world.step(writes=6)  # the finalizer and five claims
    world.restart()
    world.settle()
    assert [record["name"] for record in world.records] == [name(ordinal) for ordinal in range(6)]
    assert sorted(world.names) == sorted(record["name"] for record in world.records)


@pytest.mark.parametrize("kind", ["Machine", "NodeClaim"])
def test_claims_of_v0_3_0_fill_ordinals_and_are_not_surplus(kind: str) -> None:
    world = with_nodes_added(count=2, kind=kind)
    world.claims = [a_claim("wsrandom1", kind=kind, instance_type=GPU_TYPE, reached=DONE, node="n1")]
    world.settle()
    assert world.names == ["wsrandom1", name(1)]
    assert [record["ordinal"] for record in world.records] == [0, 1]


def test_a_claim_that_is_found_keeps_the_type_that_it_asks_for() -> None:
    world = with_nodes_added(count=2)
    world.claims = [a_claim("wsrandom1", instance_type="Bought")]
    world.settle()
    assert [record["instanceType"] for record in world.records] == ["Bought", GPU_TYPE]


def test_claims_of_an_earlier_workspace_of_the_name_that_are_going_take_nobodys_place() -> None:
    world = with_nodes_added(count=2)
    going = [a_claim(f"wsearlier{n}", deleting=True) for n in range(3)]
    for claim in going:
        claim["metadata"]["annotations"] = {ANNOTATION_WORKSPACE_UID: "earlier-uid"}
    world.claims = going
    world.step()
    assert world.names == [name(0), name(1)]


def test_claims_that_an_earlier_workspace_of_the_name_has_abandoned_are_taken_over() -> None:
    world = with_nodes_added()
    world.claims = [a_claim("wsearlier", instance_type=GPU_TYPE)]
    world.claims[0]["metadata"]["annotations"] = {ANNOTATION_WORKSPACE_UID: "earlier-uid"}
    world.settle()
    assert world.names == ["wsearlier"]


def test_claims_of_the_other_kind_are_left_alone() -> None:
    world = with_nodes_added(kind="NodeClaim")
    world.claims = [a_claim("wsother", kind="Machine")]
    world.settle()
    assert [(c["kind"], c["metadata"]["name"]) for c in world.claims] == [
        ("Machine", "wsother"),
        ("NodeClaim", name(0)),
    ]


def test_scaling_up_asks_for_the_difference() -> None:
    world = asked(count=1)
    world.edit(lambda w: w["resource"].update(count=3))
    world.settle()
    assert world.names == [name(0), name(1), name(2)]


def test_scaling_up_while_the_earlier_claim_of_an_ordinal_is_going_takes_another_name_at_once() -> None:
    world = asked(count=2)
    world.edit(lambda w: w["resource"].update(count=1))
    world.settle()
    assert world.names == [name(0)]
    world.edit(lambda w: w["resource"].update(count=2))
    world.settle()
    assert world.names == [name(0), name(1, 1)]


SURPLUS: list[tuple[str, list[Obj], list[int | None], str]] = [
    # what differs, the claims, on which of their nodes a pod is, and the one that goes
    (
        "one is not ready",
        [{"reached": LAUNCHED, "created": -90}, {"reached": DONE, "node": "n1", "created": -5}],
        [None],
        "ws0",
    ),
    (
        "one is younger",
        [{"reached": DONE, "node": "n0", "created": -5}, {"reached": DONE, "node": "n1", "created": -90}],
        [None],
        "ws0",
    ),
    (
        "one has a pod",
        [{"reached": DONE, "node": "n0", "created": -90}, {"reached": DONE, "node": "n1", "created": -5}],
        [1],
        "ws0",
    ),
    (
        "one has failed",
        [{"reached": 0, "reason": "PoolFailed", "final": True, "created": -90}, {"created": -5}],
        [None],
        "ws0",
    ),
]


@pytest.mark.parametrize(
    ("claims", "pod_on", "goes"), [row[1:] for row in SURPLUS], ids=[r[0] for r in SURPLUS]
)
def test_of_claims_that_are_too_many_the_least_useful_goes(
    claims: list[Obj], pod_on: list[int | None], goes: str
) -> None:
    world = with_nodes_added(count=1)
    world.claims = [a_claim(f"ws{n}", instance_type=GPU_TYPE, **more) for n, more in enumerate(claims)]
    world.pods = [a_pod(node=f"n{place}") for place in pod_on if place is not None]
    world.settle()
    assert [c["metadata"]["name"] for c in world.claims if "deletionTimestamp" in c["metadata"]] == [goes]


def test_scaling_down_waits_for_the_workload_to_say_which_node_is_free() -> None:
    world = joined(count=2)
    world.edit(lambda w: w["resource"].update(count=1))
    world.settle()
    assert world.names == [name(0), name(1)], "both still have a pod"
    world.pods = world.pods[1:]
    world.settle()
    assert world.names == [name(1)]


def test_a_claim_on_its_way_is_given_up_at_once_when_scaled_down() -> None:
    world = asked(count=2)
    world.edit(lambda w: w["resource"].update(count=1))
    world.step()
    assert world.names == [name(0)]


def test_no_more_claims_than_one_too_many_while_deletions_take_their_time() -> None:
    world = asked(count=2)
    for found in (name(0), name(1)):
        fail(world, found)
    world.settle()
    world.later(60)
    world.settle()
    assert len(world.claims) == 3
    world.gone(name(0))
    world.settle()
    assert world.names == [name(0, 1), name(1, 1)]


@pytest.mark.parametrize("answer", ["quota of machines", UNKNOWN_KIND])
def test_a_refused_claim_is_tried_again_now_and_then_also_after_a_pause(answer: str) -> None:
    world = asked()
    fail(world, name())
    world.settle()
    world.gone(name())
    world.refusing = answer
    world.later(60)
    world.step()
    for _ in range(3):
        assert world.decide().create == ()
        assert world.decide().retry_after_s == 30
        world.later(30)
        assert len(world.step().create) == 1
    world.refusing = ""
    world.later(30)
    world.settle()
    assert world.names == [name(0, 1)]


def test_what_is_stored_of_the_claims_survives_a_workspace_that_cannot_be_served() -> None:
    world = asked()
    fail(world, name())
    world.settle()
    before = world.records
    world.edit(lambda w: w["inference"]["preset"].update(name="nope"))
    world.settle()
    assert world.blocked_on == "PresetUnknown"
    assert world.records == before
