"""The operator killed after each single write of a step: the end is the same as without."""

from collections.abc import Callable

import pytest

from kaito_operator.reconcile.attempts import LOST_AFTER_S
from tests.support.claims import asked, fail, joined, name
from tests.support.objects import DONE, a_claim
from tests.support.world import GPU_TYPE, World, with_nodes_added


def failed() -> World:
    world = asked(count=2, instance_type=None)
    fail(world, name(0))
    return world


def named_and_failed() -> World:
    world = asked(count=2)
    fail(world, name(1))
    return world


def paused() -> World:
    world = named_and_failed()
    world.settle()
    world.later(60)
    return world


def vanished() -> World:
    world = asked(count=2, instance_type=None)
    world.delete(name(1))
    world.settle()
    world.later(60)
    return world


def lost() -> World:
    world = joined(count=2)
    world.lose(f"node-{name(0)}")
    world.later(LOST_AFTER_S)
    return world


def scaled_up() -> World:
    world = joined(count=1)
    world.edit(lambda w: w["resource"].update(count=3))
    return world


def scaled_down() -> World:
    world = asked(count=3)
    world.edit(lambda w: w["resource"].update(count=1))
    return world


def upgraded() -> World:
    world = with_nodes_added(count=2)
    world.claims = [a_claim("wsrandom1", instance_type=GPU_TYPE, reached=DONE, node="n1")]
    return world


def deleted() -> World:
    world = asked(count=3)
    world.edit(lambda w: w["metadata"].update(deletionTimestamp="2026-01-02T03:05:00Z"))
    return world


LIVES: dict[str, Callable[[], World]] = {
    "new": lambda: with_nodes_added(count=2),
    "failed": failed,
    "named and failed": named_and_failed,
    "paused": paused,
    "vanished": vanished,
    "lost": lost,
    "scaled up": scaled_up,
    "scaled down": scaled_down,
    "upgraded": upgraded,
    "deleted": deleted,
}


def written(world: World, most: int) -> int:
    """Step until nothing is left to write, or so many writes are done. Returns how many were."""
    done = 0
    while done < most and (now := world.writes()):
        world.step(writes=most - done)
        done += min(now, most - done)
    return done


def end(world: World) -> object:
    records = [(r["ordinal"], r["attempt"], r["name"], r["failures"]) for r in world.records]
    return sorted(world.names), records, world.workspace["metadata"].get("finalizers")


@pytest.mark.parametrize("life", LIVES)
def test_a_kill_after_any_write_changes_nothing_in_the_end(life: str) -> None:
    undisturbed = LIVES[life]()
    writes = written(undisturbed, 100)
    assert 1 < writes < 100
    for kill in range(1, writes):
        world = LIVES[life]()
        written(world, kill)
        assert len(world.claims) <= 4
        world.restart()
        world.settle()
        assert end(world) == end(undisturbed), f"killed after write {kill} of {writes}"
        assert len(world.claims) == len(undisturbed.claims), "no claim more was made"
