"""Whatever happens, wherever the process is killed: no pool without a claim, no claim let go of too early.

The invariants themselves are asserted by the world, at every gate that the provisioner passes.
"""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kaito_operator.provisioner.faults import AzureError
from tests.unit.provisioner.objects import a_machine, a_node_claim
from tests.unit.provisioner.scenarios import (
    BUSY,
    DOWN,
    FORBIDDEN,
    LAST,
    NAME,
    NO_CAPACITY,
    NODE,
    QUOTA,
    SCENARIOS,
    THROTTLED,
    Scenario,
    create,
)
from tests.unit.provisioner.world import BUDGETS, World

LAZY = pytest.param(True, id="lazy", marks=pytest.mark.full)
SETTLED = LAST + 900.0


async def play(scenario: Scenario, *kills: int, lazy: bool = False) -> World:
    """Let it happen, with the process killed at these gates; then delete the claim and see that all goes."""
    world = World(frozenset(kills), lazy=lazy)
    scenario.prepare(world)
    await world.run(LAST)
    ready = world.condition(NAME, "Ready") if world.find(NAME) else None
    assert ready == scenario.ready or kills_explain(scenario, ready, kills), world.find(NAME)
    assert len(world.cloud.pools) == scenario.pools
    if world.find(NAME):
        world.api.remove("Machine" if ("Machine", NAME) in world.api.objects else "NodeClaim", NAME)
    await world.run(SETTLED)
    assert world.is_clean, (world.api.objects, world.cloud.pools)
    return world


def kills_explain(scenario: Scenario, ready: tuple[str, str] | None, kills: tuple[int, ...]) -> bool:
    """A restart forgets why an operation failed; the pool's failure is then told without its cause."""
    return bool(kills) and scenario.ready == ("False", "AzureNoCapacity") and ready == ("False", "PoolFailed")


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("lazy", [pytest.param(False, id="prompt"), LAZY])
async def test_a_claim_ends_as_it_should_wherever_the_process_is_killed(name: str, lazy: bool) -> None:
    scenario = SCENARIOS[name]
    world = await play(scenario, lazy=lazy)
    points, requests = world.gates.passed, world.bodies
    assert len(world.cloud.puts) == len(set(world.cloud.puts)) <= 1
    assert len(world.cloud.deletes) <= 1
    assert len(world.cloud.asked) <= 4, "a request is repeated without having learned anything"
    for point in range(1, points + 1):
        killed = await play(scenario, point, lazy=lazy)
        assert killed.kills == 1
        assert len(killed.cloud.puts) <= 1
        assert killed.bodies.items() <= requests.items()


async def test_a_good_life_takes_six_writes_one_request_and_one_deletion() -> None:
    for name in ("all goes well", "all goes well for a NodeClaim"):
        world = await play(SCENARIOS[name])
        assert [verb for verb, _ in world.api.writes] == [
            "PATCH",
            "STATUS",
            "PATCH",
            "STATUS",
            "PATCH",
            "PATCH",
        ]
        assert (len(world.cloud.puts), len(world.cloud.deletes)) == (1, 1)


ANSWERS = st.lists(st.sampled_from([QUOTA, BUSY, THROTTLED, DOWN, FORBIDDEN, "drop"]), max_size=4)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    kills=st.sets(st.integers(1, 120), max_size=5),
    answers=ANSWERS,
    partings=st.lists(st.sampled_from([BUSY, THROTTLED, DOWN, FORBIDDEN, "drop"]), max_size=3),
    reads=st.lists(st.sampled_from([DOWN, FORBIDDEN, THROTTLED]), max_size=3),
    fails=st.booleans(),
    joins=st.booleans(),
    delete_at=st.floats(1, 700),
    late=st.booleans(),
    lazy=st.booleans(),
)
async def test_any_mixture_of_faults_and_kills_ends_with_nothing_left(
    kills: set[int],
    answers: list[AzureError | str],
    partings: list[AzureError | str],
    reads: list[AzureError],
    fails: bool,
    joins: bool,
    delete_at: float,
    late: bool,
    lazy: bool,
) -> None:
    world = World(frozenset(kills), lazy=lazy)
    create(world)
    cloud = world.cloud
    cloud.answers, cloud.reads, cloud.joins = list(answers), list(reads), joins
    cloud.partings = list(partings)
    cloud.fails = [NO_CAPACITY] * 9 if fails else []

    def delete() -> None:
        if world.find(NAME):
            world.api.remove("Machine", NAME)

    def unready() -> None:
        if ("Node", NODE) in world.api.objects:
            world.set_ready(NODE, False)

    world.at(delete_at, delete)
    if late and joins:
        world.at(delete_at / 2, unready)
    await world.run(delete_at + 1800)
    assert world.is_clean, (world.api.objects, cloud.pools)


@pytest.mark.parametrize("late_s", [0.5, 100.0, 130.0])
async def test_a_pool_that_comes_into_being_after_its_claim_has_gone_is_collected(late_s: float) -> None:
    world = World()
    create(world)
    await world.run(10)
    pool = world.cloud.pools.pop(
        NAME
    )  # the request is still on its way, and the process that sent it is dead
    world.process = type(world.process)(world)
    world.api.remove("Machine", NAME)
    await world.run(20)
    assert world.find(NAME) is None
    world.at(20 + late_s, lambda: world.cloud.pools.update({NAME: pool}))
    world.at(21 + late_s, lambda: setattr(pool, "state", "Succeeded"))
    await world.run(20 + late_s + 5)
    assert world.cloud.pools
    await world.run(20 + late_s + 3 * 120 + 60)
    assert world.is_clean


@pytest.mark.parametrize("busy", [False, True], ids=["parallel", "serialised"])
async def test_many_claims_get_a_pool_each_and_give_it_back(busy: bool) -> None:
    world = World(budgets=replace(BUDGETS, launch=3600))
    world.cloud.busy = busy
    names = [f"ws{number:09x}" for number in range(12)]
    for number, name in enumerate(names):
        claim = a_node_claim(name) if number % 2 else a_machine(name)
        world.at(1 + number / 10, lambda claim=claim: world.api.add(claim))  # type: ignore[misc] # bound now
    await world.run(2400)
    assert sorted(world.cloud.pools) == names
    assert [world.condition(name, "Ready")[0] for name in names] == ["True"] * 12
    for key in [key for key in world.api.objects if key[0] in ("Machine", "NodeClaim")]:
        world.api.remove(*key)
    await world.run(4800)
    assert world.is_clean
    assert sorted(name for name, _ in world.cloud.puts) == names == sorted(world.cloud.deletes)


async def test_a_serialised_cluster_is_not_asked_again_and_again() -> None:
    world = World(budgets=replace(BUDGETS, launch=3600))
    world.cloud.busy = True
    for number in range(12):
        world.api.add(a_machine(f"ws{number:09x}"))
    await world.run(2400)
    assert len(world.cloud.pools) == 12
    assert len(world.cloud.asked) <= 12 * 3


async def test_a_machine_and_a_node_claim_of_one_name_do_not_share_a_pool() -> None:
    world = World()
    world.api.add(a_machine(NAME, uid="first"))
    world.at(100, lambda: world.api.add(a_node_claim(NAME, uid="second")))
    await world.run(300)
    assert world.api.objects["Machine", NAME]["status"]["nodeName"]
    (launched,) = (
        c for c in world.api.objects["NodeClaim", NAME]["status"]["conditions"] if c["type"] == "Launched"
    )
    assert (launched["status"], launched["reason"]) == ("False", "PoolNameTaken")
    world.api.remove("NodeClaim", NAME)
    await world.run(400)
    assert ("NodeClaim", NAME) not in world.api.objects
    assert NAME in world.cloud.pools
    assert world.condition(NAME, "Ready")[0] == "True"


async def test_claims_beyond_azures_limit_wait_until_there_is_room() -> None:
    world = World(budgets=replace(BUDGETS, launch=1200))
    world.cloud.others = 99
    for name in ("wsfirst", "wssecond"):
        world.api.add(a_machine(name))
    await world.run(200)
    reasons = sorted(world.condition(name, "Ready") for name in ("wsfirst", "wssecond"))
    assert reasons == [("False", "PoolLimitReached"), ("True", "")]
    world.cloud.others = 10
    await world.run(400)
    assert len(world.cloud.pools) == 2
