"""Garbage collection takes only what is ours, wanted by nobody, and seen twice."""

from typing import Any

from tests.unit.provisioner.fake_cloud import FakePool
from tests.unit.provisioner.objects import CLUSTER, a_machine, a_node, at
from tests.unit.provisioner.world import World

TAGS = {
    "kaito-manager": "kaito-gpu-provisioner",
    "kaito-cluster": CLUSTER,
    "kaito-claim-uid": "gone",
    "kaito-claim-name": "gone",
    "kaito-claim-kind": "Machine",
}


def a_world(**tags: str) -> World:
    world = World()
    body: dict[str, Any] = {"properties": {"vmSize": "x", "tags": {**TAGS, **tags}}}
    world.cloud.pools["stray"] = FakePool(body, "Succeeded")
    return world


async def test_a_stray_is_deleted_when_it_is_seen_the_second_time() -> None:
    world = a_world()
    await world.process.collector.collect()
    assert world.cloud.deletes == []
    await world.process.collector.collect()
    assert world.cloud.deletes == ["stray"]
    await world.process.collector.collect()
    assert world.cloud.deletes == ["stray"]


async def test_pools_of_others_and_of_other_clusters_are_left_alone() -> None:
    for tags in ({"kaito-manager": "another"}, {"kaito-cluster": "another"}, {"kaito-claim-kind": "Pod"}):
        world = a_world(**tags)
        for _ in range(3):
            await world.process.collector.collect()
        assert world.cloud.deletes == []


async def test_a_claim_that_the_watch_has_not_told_of_keeps_its_pool() -> None:
    world = a_world()
    world.api.add(a_machine("gone", uid="gone"))
    world.api.events.clear()  # the watch lags
    for _ in range(3):
        await world.process.collector.collect()
    assert world.cloud.deletes == []


async def test_another_claim_of_the_same_name_does_not_keep_it() -> None:
    world = a_world()
    world.api.add(a_machine("gone", uid="another"))
    for _ in range(2):
        await world.process.collector.collect()
    assert world.cloud.deletes == ["stray"]


async def test_a_dry_run_counts_and_deletes_nothing() -> None:
    world = a_world()
    collector = world.process.collector
    collector.dry_run = True
    for _ in range(3):
        await collector.collect()
    assert world.cloud.deletes == []
    assert collector.metrics.strays_seen._value.get() == 1


async def test_a_node_whose_claim_and_pool_are_gone_is_let_go_of() -> None:
    world = World()
    labels = {"kaito.sh/claim-uid": "gone"}
    world.api.add(
        a_node("gone", labels=labels, finalizers=["karpenter.sh/termination"], deletionTimestamp=at(0))
    )
    await world.run(200)
    assert world.is_clean


async def test_a_node_of_another_provisioner_is_left_alone() -> None:
    world = World()
    world.api.add(a_node("theirs", finalizers=["karpenter.sh/termination"], deletionTimestamp=at(0)))
    await world.run(300)
    assert len(world.nodes()) == 1
