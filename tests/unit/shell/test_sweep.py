"""Sweeps against listings in memory."""

import asyncio
from typing import cast

import pytest

from kaito_operator.kube.client import Kube
from kaito_operator.kube.errors import NotFound, Unavailable
from kaito_operator.reconcile.observed import ClusterFacts, Refusal
from kaito_operator.shell.sweep import Sweeper
from tests.support.objects import NOW, Obj, a_pod, a_workspace
from tests.unit.shell.conftest import Edge

PATHS = {"workspaces": "/apis/kaito.sh/v1alpha1/workspaces", "pods": "/api/v1/pods"}


class Listings:
    """Answers metadata listings by path; counts what was asked."""

    def __init__(self, version: str = "100") -> None:
        self.version = version
        self.items: dict[str, list[Obj]] = {}
        self.errors: dict[str, Exception] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []

    async def list_metadata(self, path: str, **query: str) -> Obj:
        self.asked.append((path, query))
        if error := self.errors.get(path):
            raise error
        items = [{"metadata": obj["metadata"]} for obj in self.items.get(path, ())]
        return {"metadata": {"resourceVersion": self.version}, "items": items}


@pytest.fixture
def listings() -> Listings:
    return Listings()


@pytest.fixture
def sweeper(listings: Listings, edge: Edge) -> Sweeper:
    return Sweeper(cast("Kube", listings), edge.queue)  # it has the one call that a sweeper makes


def versioned(obj: Obj, version: int) -> Obj:
    return {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(version)}}


async def test_a_missed_deletion_wakes_the_owner(edge: Edge, sweeper: Sweeper) -> None:
    edge.sees("pods", versioned(a_pod(), 5), "ADDED")
    await edge.woken()
    await sweeper.sweep(edge.kind("pods"), edge.watch)
    assert len(edge.stores.pods) == 0
    assert edge.stores.observe(("ns", "ws"), ClusterFacts((1, 36))).pods == ()
    assert await edge.woken() == [("ns", "ws")]


async def test_a_swept_workspace_takes_what_was_remembered_of_it_along(edge: Edge, sweeper: Sweeper) -> None:
    edge.sees("workspaces", versioned(a_workspace(), 5), "ADDED")
    edge.stores.remember_refusal(("ns", "ws"), "Service", Refusal("Service", "ws", "no", "h", NOW))
    await sweeper.sweep(edge.kind("workspaces"), edge.watch)
    assert edge.stores.refusals == {}


async def test_what_is_listed_stays_and_wakes_nobody(
    edge: Edge, sweeper: Sweeper, listings: Listings
) -> None:
    pod = versioned(a_pod(), 5)
    edge.sees("pods", pod, "ADDED")
    await edge.woken()
    listings.items[PATHS["pods"]] = [pod]
    await sweeper.sweep(edge.kind("pods"), edge.watch)
    assert len(edge.stores.pods) == 1
    assert await edge.woken() == []


async def test_a_workspace_whose_status_was_just_written_survives_an_older_listing(
    edge: Edge, sweeper: Sweeper, listings: Listings
) -> None:
    edge.sees("workspaces", versioned(a_workspace(), 101), "ADDED")
    edge.stores.remember(versioned({**a_workspace(), "status": {"phase": "Scheduling"}}, 102))
    await sweeper.sweep(edge.kind("workspaces"), edge.watch)
    assert edge.stores.workspaces.get("ns", "ws") is not None


async def test_only_what_is_watched_is_listed(edge: Edge, sweeper: Sweeper, listings: Listings) -> None:
    await sweeper.sweep(edge.kind("pods"), edge.watch)
    await sweeper.sweep(edge.kind("workspaces"), edge.watch)
    assert listings.asked == [
        (PATHS["pods"], {"labelSelector": "kaito.sh/workspace"}),
        (PATHS["workspaces"], {}),
    ]


async def test_a_sweep_that_fails_forgets_nothing_and_comes_again(
    edge: Edge, sweeper: Sweeper, listings: Listings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kaito_operator.shell.sweep.AFTER_RELIST_S", 0)
    edge.sees("pods", versioned(a_pod(), 5), "ADDED")
    await edge.woken()
    listings.errors[PATHS["pods"]] = Unavailable(0, "no route")
    await sweeper.sweep(edge.kind("pods"), edge.watch)
    assert len(edge.stores.pods) == 1
    listings.errors.clear()
    await _until_woken(edge, sweeper)
    assert len(edge.stores.pods) == 0


async def test_a_relisted_kind_is_swept_and_the_others_are_not(
    edge: Edge, sweeper: Sweeper, listings: Listings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kaito_operator.shell.sweep.AFTER_RELIST_S", 0)
    edge.sees("pods", versioned(a_pod(), 5), "ADDED")
    await edge.woken()
    sweeper.relisted(edge.kind("pods"))
    await _until_woken(edge, sweeper, turns=50)
    assert [path for path, _ in listings.asked] == [PATHS["pods"]], "once"


async def test_every_kind_is_swept_when_its_time_has_come(
    edge: Edge, sweeper: Sweeper, listings: Listings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kaito_operator.shell.sweep.EVERY_S", 0.001)
    edge.sees("workspaces", versioned(a_workspace(), 5), "ADDED")
    await edge.woken()
    await _until_woken(edge, sweeper)
    assert len(edge.stores.workspaces) == 0


async def _until_woken(edge: Edge, sweeper: Sweeper, turns: int = 0) -> None:
    """Run the sweeper until it wakes a Workspace, and for so many turns of the event loop more."""
    edge.synced.set()
    task = asyncio.create_task(sweeper.run(edge.watch))
    async with asyncio.timeout(2):
        await edge.queue.get()
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()


async def test_a_cluster_with_nothing_in_it_is_a_complete_picture(edge: Edge, sweeper: Sweeper) -> None:
    await sweeper.look_for_nothing(edge.watch)
    assert edge.synced.is_set()


async def test_a_cluster_with_something_in_it_is_waited_for(
    edge: Edge, sweeper: Sweeper, listings: Listings
) -> None:
    listings.items[PATHS["pods"]] = [a_pod()]
    await sweeper.look_for_nothing(edge.watch)
    assert not edge.synced.is_set()


async def test_a_cluster_that_does_not_answer_is_no_empty_one(
    edge: Edge, sweeper: Sweeper, listings: Listings
) -> None:
    listings.errors[PATHS["pods"]] = Unavailable(503, "down")
    await sweeper.look_for_nothing(edge.watch)
    assert not edge.synced.is_set()


async def test_a_kind_that_is_not_installed_has_no_objects(
    edge: Edge, sweeper: Sweeper, listings: Listings
) -> None:
    listings.errors[PATHS["workspaces"]] = NotFound(404, "no such kind")
    await sweeper.look_for_nothing(edge.watch)
    assert edge.synced.is_set()
