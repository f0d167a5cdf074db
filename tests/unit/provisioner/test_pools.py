"""What is known of pools: an answer counts from the moment it was asked for."""

import pytest

from kaito_operator.provisioner.faults import AzureError
from kaito_operator.provisioner.pool import Identity, Pool
from kaito_operator.provisioner.pools import Pools

IDENTITY = Identity("c")
TAGS = {"kaito-manager": "kaito-gpu-provisioner", "kaito-cluster": "c"}


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pools(clock: Clock) -> Pools:
    return Pools(IDENTITY, clock)


def a_pool(state: str = "Creating", name: str = "p") -> Pool:
    return Pool(name, state, tags=TAGS)


def test_nothing_is_known_before_azure_has_answered(pools: Pools) -> None:
    assert not pools.sight("p").known
    pools.take_listing([], pools.clock())
    sight = pools.sight("p")
    assert (sight.known, sight.current, sight.pool, sight.direct) == (True, True, None, False)


def test_a_listing_names_the_pools_that_changed(pools: Pools) -> None:
    assert pools.take_listing([a_pool(), a_pool(name="q")], pools.clock()) == {"p", "q"}
    assert pools.take_listing([a_pool("Succeeded"), a_pool(name="q")], pools.clock()) == {"p"}
    assert pools.take_listing([a_pool("Succeeded")], pools.clock()) == {"q"}
    assert pools.take_listing([a_pool("Succeeded")], pools.clock()) == set()


def test_absence_after_a_request_is_believed_by_name_only(pools: Pools) -> None:
    pools.take_listing([], pools.clock())
    pools.requested("p")  # and the answer was lost
    pools.take_listing([], pools.clock())
    assert not pools.sight("p").current
    pools.take("p", None, pools.clock())
    sight = pools.sight("p")
    assert (sight.current, sight.direct) == (True, True)


def test_an_answer_that_was_asked_for_before_our_request_says_nothing_of_it(pools: Pools) -> None:
    asked_at = pools.clock()
    pools.accepted(a_pool())
    assert pools.take_listing([], asked_at) == set()
    assert pools.sight("p").pool is not None


def test_an_older_answer_never_replaces_a_newer_one(pools: Pools) -> None:
    asked_at = pools.clock()
    pools.take("p", a_pool("Succeeded"), pools.clock())
    assert pools.take_listing([], asked_at) == set()
    assert pools.sight("p").pool == a_pool("Succeeded")


def test_a_listing_may_lag_behind_an_accepted_request_for_a_minute(pools: Pools, clock: Clock) -> None:
    pools.accepted(a_pool())
    pools.take_listing([], pools.clock())
    assert pools.sight("p").pool == a_pool()
    clock.now += 61
    pools.take_listing([], pools.clock())
    assert pools.sight("p").pool is None


def test_a_listing_that_has_shown_the_pool_lags_no_more(pools: Pools) -> None:
    pools.accepted(a_pool())
    pools.take_listing([a_pool()], pools.clock())
    assert pools.take_listing([], pools.clock()) == {"p"}
    assert pools.sight("p").pool is None


def test_a_pool_that_we_had_deleted_does_not_come_back_by_an_old_listing(pools: Pools, clock: Clock) -> None:
    pools.take_listing([a_pool("Succeeded")], pools.clock())
    pools.leaving("p")
    pools.take_listing([a_pool("Succeeded")], pools.clock())
    assert pools.sight("p").pool == a_pool("Deleting")
    clock.now += 61
    pools.take_listing([a_pool("Succeeded")], pools.clock())  # the deletion failed
    assert pools.sight("p").pool == a_pool("Succeeded")


def test_a_deletion_that_ends_is_seen_at_once(pools: Pools) -> None:
    pools.take_listing([a_pool("Succeeded")], pools.clock())
    pools.leaving("p")
    assert pools.take_listing([], pools.clock()) == {"p"}
    assert pools.sight("p").pool is None


def test_a_cause_is_kept_until_the_pool_is_asked_for_anew(pools: Pools) -> None:
    pools.accepted(Pool("p", "Creating", operation="op"))
    assert pools.sight("p").may_have_cause
    pools.explained("p", AzureError(200, "AllocationFailed"))
    sight = pools.sight("p")
    assert (sight.cause, sight.may_have_cause) == (AzureError(200, "AllocationFailed"), False)
    pools.accepted(Pool("p", "Creating", operation="op2"))
    assert pools.sight("p").cause is None


def test_a_pool_that_tells_its_error_needs_no_question(pools: Pools) -> None:
    pools.take_listing([Pool("p", "Failed", error=AzureError(200, "SubnetIsFull"))], pools.clock())
    sight = pools.sight("p")
    assert (sight.cause, sight.may_have_cause) == (AzureError(200, "SubnetIsFull"), False)


def test_seconds_are_counted_from_when_a_state_was_first_seen(pools: Pools, clock: Clock) -> None:
    pools.take_listing([a_pool("Succeeded")], pools.clock())
    clock.now += 7
    pools.take_listing([a_pool("Succeeded")], pools.clock())
    assert pools.sight("p").settled_s == pytest.approx(7, abs=0.1)
    pools.take("p", None, pools.clock())
    clock.now += 5
    pools.take("p", None, pools.clock())
    assert pools.sight("p").gone_s == pytest.approx(5, abs=0.1)


def test_only_pools_of_ours_in_motion_are_counted_as_moving(pools: Pools) -> None:
    foreign = Pool("system", "Upgrading")
    pools.take_listing([a_pool(), a_pool("Deleting", "q"), a_pool("Failed", "r"), foreign], pools.clock())
    assert (pools.moving(), len(pools)) == (2, 4)


def test_what_is_remembered_of_a_claim_goes_with_it(pools: Pools) -> None:
    pools.requested("p")
    pools.take("p", None, pools.clock())
    pools.explained("p", AzureError(200))
    pools.forget("p")
    assert pools.sight("p").cause is None
    assert not pools.sight("p").known
