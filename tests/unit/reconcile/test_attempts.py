"""What becomes of claims that get no node, or lose it."""

import pytest

from kaito_operator.reconcile.attempts import LONGEST_RETRY_S, LOST_AFTER_S, OVERDUE_S
from kaito_operator.reconcile.provision import SETTLE_S
from tests.support.claims import asked, fail, joined, name
from tests.support.objects import DONE, LAUNCHED, REGISTERED, a_claim, a_pod
from tests.support.world import GPU_TYPE, with_nodes_added


@pytest.mark.parametrize("instance_type", [GPU_TYPE, None])
def test_a_failed_claim_is_told_and_the_next_attempt_stored_before_it_is_asked_for(
    instance_type: str | None,
) -> None:
    world = asked(instance_type=instance_type)
    fail(world, name())
    step = world.step()
    assert (step.create, [ref.name for ref in step.delete], step.retry_after_s) == ((), [name()], SETTLE_S)
    assert [(r["attempt"], r["name"], r["failures"]) for r in world.records] == [(1, name(0, 1), 1)]
    assert world.blocked_on == "AzureNoCapacity"


def test_a_type_that_is_named_is_asked_for_again_after_pauses_that_double() -> None:
    world = asked()
    pauses = []
    for attempt in range(8):
        fail(world, name(0, attempt))
        world.settle()
        pause = world.decide().retry_after_s
        assert pause is not None
        pauses.append(pause)
        world.gone(name(0, attempt))
        world.later(pause - 1)
        assert world.settle() == 0
        world.later(1)
        made = world.step().create
        assert [obj["spec"]["requirements"][0]["values"] for obj in made] == [[GPU_TYPE]]
    assert pauses == [60, 120, 240, 480, 960, 1920, 3600, LONGEST_RETRY_S]


def test_success_forgets_the_failures() -> None:
    world = asked()
    fail(world, name())
    world.settle()
    world.later(60)
    world.settle()
    world.join(name(0, 1), gpus=1)
    world.settle()
    assert [(r["failures"], r.get("reason"), r.get("retryAt")) for r in world.records] == [(0, None, None)]


def test_without_a_named_type_the_candidates_are_tried_in_order_and_then_slowly() -> None:
    world = asked(instance_type=None)
    types: list[str] = []
    pauses: list[float] = []
    for attempt in range(14):
        found = world.claim(name(0, attempt))
        types.append(found["spec"]["requirements"][0]["values"][0])
        fail(world, name(0, attempt))
        world.settle()
        world.gone(name(0, attempt))
        if name(0, attempt + 1) not in world.names:
            pauses.append(world.decide().retry_after_s or 0)
            world.later(pauses[-1])
            world.settle()
    round_of = types[:6]
    assert len(set(round_of)) == 6
    assert types == [*round_of, *round_of, *round_of[:2]]
    assert pauses == [60, 3600]


def test_a_claim_that_its_provisioner_deleted_is_asked_for_again_later_under_another_name() -> None:
    world = asked(kind="NodeClaim")
    world.gone(name())
    world.settle()
    assert (world.names, world.blocked_on) == ([], "ClaimVanished")
    world.later(59)
    assert world.settle() == 0
    world.later(1)
    world.settle()
    assert world.names == [name(0, 1)]


def test_an_ordinal_that_comes_back_is_not_blamed_for_a_claim_that_vanished_long_ago() -> None:
    world = asked(count=2)
    world.gone(name(1))
    world.settle()
    world.edit(lambda w: w["resource"].update(count=1))
    world.settle()
    world.edit(lambda w: w["resource"].update(count=2))
    world.settle()
    assert world.names == [name(0), name(1, 1)]
    assert world.blocked_on == "NodeLaunching"


def test_a_claim_that_somebody_deletes_is_replaced_beside_it() -> None:
    world = joined()
    world.delete(name())
    world.settle()
    world.later(60)
    world.settle()
    assert [c["metadata"]["name"] for c in world.claims] == [name(), name(0, 1)]


def test_a_claim_that_nobody_finishes_is_given_up() -> None:
    world = asked()
    world.say(name(), 0)
    world.later(OVERDUE_S - 1)
    assert world.settle() == 0
    assert world.decide().retry_after_s == 1
    world.later(1)
    world.settle()
    assert (world.names, world.blocked_on) == ([], "LaunchTimeout")


def test_a_claim_that_has_its_node_is_never_too_old() -> None:
    world = joined(count=2)
    world.say(name(1), REGISTERED, node=f"node-{name(1)}")
    world.settle()
    world.later(30 * OVERDUE_S)
    assert world.settle() == 0
    assert world.names == [name(0), name(1)]


def test_a_lost_node_is_replaced_after_ten_minutes_at_once() -> None:
    world = joined()
    world.lose(f"node-{name()}")
    world.pods = []
    world.settle()
    world.later(LOST_AFTER_S - 1)
    assert world.settle() == 0
    assert world.decide().retry_after_s == 1
    world.later(1)
    world.settle()
    assert world.names == [name(0, 1)]
    assert [r["failures"] for r in world.records] == [0]


def test_lost_nodes_are_replaced_one_at_a_time() -> None:
    world = joined(count=3)
    for found in (name(0), name(1)):
        world.lose(f"node-{found}")
    world.later(LOST_AFTER_S)
    world.settle()
    assert world.names == [name(1), name(2), name(0, 1)]
    world.say(name(0, 1), REGISTERED, node="node-new")
    world.later(60)
    world.settle()
    assert world.names == [name(1), name(2), name(0, 1)], "the new one is not ready yet"
    world.gone(name(0))
    world.join(name(0, 1), gpus=1)
    world.settle()
    assert world.names == [name(2), name(0, 1), name(1, 1)]


def test_no_node_is_replaced_while_many_are_lost() -> None:
    world = joined()
    world.lose(f"node-{name()}")
    world.many_nodes_lost = True
    world.later(LOST_AFTER_S)
    world.settle()
    assert world.names == [name()]
    assert world.decide().retry_after_s == 30
    world.many_nodes_lost = False
    world.settle()
    assert world.names == [name(0, 1)]


def test_a_node_that_comes_back_is_kept() -> None:
    world = joined()
    world.lose(f"node-{name()}")
    world.later(LOST_AFTER_S - 1)
    world.settle()
    world.join(name(), gpus=1)
    world.later(2)
    world.settle()
    assert world.names == [name()]


def test_a_claim_that_follows_its_pool_to_another_node_is_kept() -> None:
    world = joined()
    world.lose(f"node-{name()}")
    world.later(LOST_AFTER_S)
    world.nodes[0]["metadata"]["name"] = "upgraded"
    world.nodes[0]["status"]["conditions"][0]["status"] = "True"
    world.say(name(), DONE, node="upgraded")
    world.settle()
    assert world.names == [name()]


def test_a_node_that_is_named_before_it_is_seen_is_no_lost_one() -> None:
    world = asked()
    world.say(name(), LAUNCHED)
    world.later(900)
    world.say(name(), REGISTERED, node="node-soon", since=0)
    world.settle()
    assert world.names == [name()]


def test_a_node_that_joins_and_never_gets_ready_counts_as_a_failure() -> None:
    world = asked()
    world.join(name())
    world.lose(f"node-{name()}")
    world.say(name(), REGISTERED, node=f"node-{name()}")
    world.later(LOST_AFTER_S)
    world.settle()
    assert (world.names, world.blocked_on) == ([], "NodeNotInitialized")
    assert [r["failures"] for r in world.records] == [1]


def test_a_pause_survives_a_kill_between_the_status_and_the_deletion() -> None:
    world = asked()
    for attempt in range(2):
        fail(world, name(0, attempt))
        world.settle()
        world.gone(name(0, attempt))
        world.later(3600)
        world.settle()
    fail(world, name(0, 2))
    world.step(writes=1)  # the status
    world.restart()
    assert name(0, 2) in world.names
    world.settle()
    assert world.names == []
    assert [(r["ordinal"], r["attempt"], r["failures"]) for r in world.records] == [(0, 3, 3)]


def test_a_failed_claim_that_cannot_be_deleted_does_not_turn_the_status_round_and_round() -> None:
    world = with_nodes_added()
    world.claims = [a_claim("wsrandom1", instance_type=GPU_TYPE)]
    world.settle()
    fail(world, "wsrandom1")
    world.step(writes=1)  # the status; the deletion is refused
    for _ in range(3):
        again = world.decide()
        assert (again.status, [ref.name for ref in again.delete]) == (None, ["wsrandom1"])


def test_a_lost_claim_of_any_name_goes_after_a_kill_though_its_pod_is_still_there() -> None:
    world = with_nodes_added()
    world.claims = [a_claim("wsrandom1", instance_type=GPU_TYPE)]
    world.pods = [a_pod(node=world.join("wsrandom1", gpus=1))]
    world.settle()
    world.lose("node-wsrandom1")
    world.later(LOST_AFTER_S)
    world.step(writes=1)  # the status
    world.restart()
    world.settle()
    assert world.names == [name(0, 1)]


def test_a_node_that_comes_back_before_its_claim_was_deleted_is_kept() -> None:
    world = joined()
    world.lose(f"node-{name()}")
    world.later(LOST_AFTER_S)
    world.step(writes=1)  # the status
    world.restart()
    world.join(name(), gpus=1)
    world.settle()
    assert world.names == [name()]
