"""The elector against a Lease in memory: who may write, and when no more."""

import copy
from typing import Any, cast

from kaito_operator.kube.client import Kube
from kaito_operator.kube.errors import Conflict, NotFound, Unavailable
from kaito_operator.kube.leader import LEASE_S, TERM_S, Elector


class LeaseServer:
    """One Lease with resourceVersions, as the API server keeps it; it can be cut off."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.version = 0
        self.down = False

    def _stored(self, lease: dict[str, Any]) -> dict[str, Any]:
        self.version += 1
        metadata = {**lease["metadata"], "resourceVersion": str(self.version)}
        self.lease = {**copy.deepcopy(lease), "metadata": metadata}
        return copy.deepcopy(self.lease)

    async def get(self, _path: str, **_: Any) -> dict[str, Any]:
        self._reach()
        if self.lease is None:
            raise NotFound(404, "no lease")
        return copy.deepcopy(self.lease)

    async def create(self, _path: str, lease: dict[str, Any], **_: Any) -> dict[str, Any]:
        self._reach()
        if self.lease is not None:
            raise Conflict(409, "exists")
        return self._stored(lease)

    async def replace(self, _path: str, lease: dict[str, Any], **_: Any) -> dict[str, Any]:
        self._reach()
        assert self.lease is not None
        if lease["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise Conflict(409, "changed")
        return self._stored(lease)

    def _reach(self) -> None:
        if self.down:
            raise Unavailable(0, "no route")


class Replica:
    """An elector with a clock of its own, stepped by hand."""

    def __init__(self, server: LeaseServer, identity: str, now: float = 0.0) -> None:
        self.now = now
        kube = cast("Kube", server)  # it has the three calls that an elector makes
        self.elector = Elector(kube, "ns", "lease", identity, clock=lambda: self.now)

    async def step(self, seconds: float = 0.0) -> bool:
        """Let time pass, try once, and say whether it may write."""
        self.now += seconds
        await self.elector.step()
        return self.elector.write_budget_s() > 0


async def test_the_first_replica_gets_the_lease() -> None:
    assert await Replica(LeaseServer(), "a").step()


async def test_the_second_replica_waits() -> None:
    server = LeaseServer()
    await Replica(server, "a").step()
    assert not await Replica(server, "b").step()


async def test_a_renewed_lease_is_never_taken() -> None:
    server = LeaseServer()
    a, b = Replica(server, "a"), Replica(server, "b")
    for _ in range(60):
        assert await a.step(2)
        assert not await b.step(2)


async def test_a_dead_leaders_lease_is_taken_after_its_time() -> None:
    server = LeaseServer()
    await Replica(server, "a").step()
    b = Replica(server, "b")
    await b.step()
    assert not await b.step(LEASE_S)
    assert await b.step(0.1)


async def test_a_wrong_wall_clock_in_the_lease_takes_nothing_away() -> None:
    server = LeaseServer()
    a = Replica(server, "a")
    await a.step()
    assert server.lease is not None
    server.lease["spec"]["renewTime"] = "1999-01-01T00:00:00.000000Z"
    b = Replica(server, "b", now=10**6)
    assert not await b.step()
    assert not await b.step(LEASE_S - 1)


async def test_a_leader_that_cannot_renew_stops_writing_before_another_may_start() -> None:
    server = LeaseServer()
    a, b = Replica(server, "a"), Replica(server, "b")
    await a.step()
    await b.step()
    server.down = True
    assert await a.step(TERM_S - 0.1)
    assert not await a.step(0.2)
    server.down = False
    assert not await b.step(TERM_S + 0.1)  # by now the old leader has stopped, and still nobody writes


async def test_a_leader_that_lost_the_lease_says_so() -> None:
    server = LeaseServer()
    a = Replica(server, "a")
    await a.step()
    server.down = True
    await a.step(TERM_S + 1)
    assert not a.elector.leading.is_set()


async def test_a_paused_leader_finds_its_lease_taken() -> None:
    server = LeaseServer()
    a, b = Replica(server, "a"), Replica(server, "b")
    await a.step()
    await b.step()
    assert await b.step(LEASE_S + 1)
    a.now += LEASE_S + 1  # it slept all the while, and wakes with a write in hand
    assert a.elector.write_budget_s() <= 0
    assert not await a.step()


async def test_a_released_lease_is_taken_at_once() -> None:
    server = LeaseServer()
    a, b = Replica(server, "a"), Replica(server, "b")
    await a.step()
    await b.step()
    await a.elector.release()
    assert a.elector.write_budget_s() <= 0
    assert await b.step(2)


async def test_a_lease_whose_last_renewal_got_no_answer_is_given_back() -> None:
    server = LeaseServer()
    a = Replica(server, "a")
    await a.step()
    assert server.lease is not None
    server._stored(server.lease)  # the renewal arrived, its answer did not
    await a.elector.release()
    assert server.lease["spec"]["holderIdentity"] == ""


async def test_another_holders_lease_is_not_given_back() -> None:
    server = LeaseServer()
    a = Replica(server, "a")
    await a.step()
    assert server.lease is not None
    server.lease["spec"]["holderIdentity"] = "b"
    await a.elector.release()
    assert server.lease["spec"]["holderIdentity"] == "b"


async def test_a_replica_that_never_led_gives_nothing_back() -> None:
    server = LeaseServer()
    await Replica(server, "a").step()
    await Replica(server, "b").elector.release()
    assert server.lease is not None
    assert server.lease["spec"]["holderIdentity"] == "a"


async def test_a_restarted_leader_of_the_same_name_goes_on_at_once() -> None:
    server = LeaseServer()
    await Replica(server, "a").step()
    assert await Replica(server, "a").step()


async def test_leading_is_announced_once() -> None:
    told: list[str] = []
    replica = Replica(LeaseServer(), "a")
    replica.elector.on_lead = lambda: told.append("lead")
    for _ in range(3):
        await replica.step(2)
    assert told == ["lead"]
