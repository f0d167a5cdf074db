"""The adapters of a running server: what a list turns into."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from inference_server.adapter_sync.state import IN_USE_FILE, STATE_FILE, LiveAdapter, PullState, replace_file
from inference_server.adapters.source import StateFile
from inference_server.engine import BASE
from tests.unit.inference_server.fake_adapters import World, listed, pulled

OLD, NEW = "1" * 64, "2" * 64


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_what_is_pulled_is_loaded_and_named(world: World) -> None:
    await world.manager.follow(listed(pulled("a"), pulled("b")))
    merge = world.names()["shop"]
    assert world.names() == {"shop": merge, "shop:base": BASE, "a": f"a@{OLD[:12]}", "b": f"b@{OLD[:12]}"}
    assert world.host.combined[merge] == {f"a@{OLD[:12]}": 1.0, f"b@{OLD[:12]}": 1.0}
    assert world.states() == {"a": "Loaded", "b": "Loaded"}


async def test_the_sidecars_own_states_are_passed_on(world: World) -> None:
    waiting = LiveAdapter("w", "r/w:1", 1.0)
    failed = LiveAdapter(
        "f", "r/f:1", 1.0, state=PullState.FAILED, reason="AdapterImageBad", message="why; do"
    )
    denied = LiveAdapter("d", "r/d:1", 1.0, state=PullState.DENIED, reason="AdapterDenied", message="who; do")
    await world.manager.follow(listed(waiting, failed, denied))
    assert world.states() == {"w": "Pulling", "f": "Failed", "d": "Denied"}
    body = world.manager.bodies()[1]
    assert (body["reason"], body["message"]) == ("AdapterImageBad", "why; do")
    assert world.manager.counts()["Pulling"] == 1
    assert world.names()["shop"] == BASE


@pytest.mark.parametrize("kind", ["bad", "broken"])
async def test_a_bad_adapter_leaves_the_others_and_the_base_alone(world: World, kind: str) -> None:
    await world.manager.follow(listed(pulled("x", kind=kind), pulled("a")))
    assert world.states() == {"x": "Refused", "a": "Loaded"}
    assert "x" not in world.names()
    assert world.names()["shop"] == f"a@{OLD[:12]}"
    assert world.message("x")


async def test_a_refused_adapter_is_read_again_only_when_the_list_changes(world: World) -> None:
    await world.manager.follow(listed(pulled("x", kind="bad")))
    await world.manager.follow(listed(pulled("x", kind="bad"), pulled("a")))
    assert len(world.host.reads) == 2
    await world.manager.follow(listed(pulled("x", kind="bad"), generation="other"))
    assert world.host.reads.count(f"x@{OLD[:12]}") == 2


async def test_a_replaced_adapter_moves_its_name_and_leaves_when_unused(world: World) -> None:
    await world.manager.follow(listed(pulled("a")))
    world.scheduler.used = {f"a@{OLD[:12]}"}
    await world.manager.follow(listed(pulled("a", NEW), generation="h"))
    assert world.names()["a"] == f"a@{NEW[:12]}"
    world.now = 10.0
    await world.manager.look(StateFile(Path("/none")))
    assert f"a@{OLD[:12]}" in world.host.loaded
    assert world.manager.accepts(f"a@{OLD[:12]}")
    world.scheduler.used = set()
    await world.manager.look(StateFile(Path("/none")))
    assert set(world.host.loaded) == {f"a@{NEW[:12]}"}
    assert not world.manager.accepts(f"a@{OLD[:12]}")


async def test_an_unused_revision_stays_for_requests_on_their_way(world: World) -> None:
    await world.manager.follow(listed(pulled("a")))
    await world.manager.follow(listed(generation="h"))
    world.now = 4.9
    await world.manager.look(StateFile(Path("/none")))
    assert world.manager.accepts(f"a@{OLD[:12]}")
    world.now = 5.1
    await world.manager.look(StateFile(Path("/none")))
    assert world.host.everything == set()


async def test_the_old_revision_answers_while_the_new_one_is_pulled_or_fails(world: World) -> None:
    await world.manager.follow(listed(pulled("a")))
    pulling = replace(pulled("a"), state=PullState.PULLING, digest="", path="")
    await world.manager.follow(listed(pulling, generation="h"))
    assert (world.states()["a"], world.names()["a"]) == ("Pulling", f"a@{OLD[:12]}")
    assert "earlier revision" in world.message("a")
    await world.manager.follow(listed(pulled("a", NEW, kind="bad"), generation="i"))
    assert (world.states()["a"], world.names()["a"]) == ("Refused", f"a@{OLD[:12]}")


async def test_a_new_strength_loads_nothing_and_combines_anew(world: World) -> None:
    await world.manager.follow(listed(pulled("a"), pulled("b")))
    reads = len(world.host.reads)
    await world.manager.follow(listed(pulled("a", strength=0.25), pulled("b"), generation="h"))
    assert len(world.host.reads) == reads
    assert world.host.combined[world.names()["shop"]] == {f"a@{OLD[:12]}": 0.25, f"b@{OLD[:12]}": 1.0}
    world.now = 10.0
    await world.manager.look(StateFile(Path("/none")))
    assert len(world.host.combined) == 2  # the new sum, and `a` by its name


async def test_an_adapter_that_comes_back_before_it_is_gone_is_not_loaded_again(world: World) -> None:
    await world.manager.follow(listed(pulled("a")))
    await world.manager.follow(listed(generation="h"))
    await world.manager.follow(listed(pulled("a"), generation="i"))
    world.now = 100.0
    await world.manager.look(StateFile(Path("/none")))
    assert world.host.reads == [f"a@{OLD[:12]}"]
    assert world.names()["a"] == f"a@{OLD[:12]}"


async def test_dora_beside_another_is_for_requests_that_name_it(world: World) -> None:
    await world.manager.follow(listed(pulled("d", kind="dora"), pulled("a")))
    assert world.states() == {"d": "NotMergeable", "a": "Loaded"}
    assert world.manager.bodies()[0]["reason"] == "AdapterNotMergeable"
    assert world.names()["d"] == f"d@{OLD[:12]}"
    await world.manager.follow(listed(pulled("d", kind="dora"), generation="h"))
    assert (world.states()["d"], world.names()["shop"]) == ("Loaded", f"d@{OLD[:12]}")


async def test_another_base_is_told_and_loaded(world: World) -> None:
    await world.manager.follow(listed(pulled("f", kind="foreign")))
    assert (world.states()["f"], world.message("f")) == ("Loaded", "it names another base.")


async def test_a_combination_that_cannot_be_made_leaves_the_base_and_the_names(world: World) -> None:
    world.host.cannot = {"linear"}
    await world.manager.follow(listed(pulled("a", strength=0.5), pulled("b"), combination="linear"))
    assert world.names()["shop"] == BASE
    assert world.states() == {"a": "NotMergeable", "b": "NotMergeable"}
    assert world.host.combined[world.names()["a"]] == {f"a@{OLD[:12]}": 0.5}
    assert "choose cat" in world.message("b")
    await world.manager.follow(listed(pulled("a", strength=0.5), pulled("b"), generation="h"))
    assert world.states() == {"a": "Loaded", "b": "Loaded"}
    assert world.names()["shop"] != BASE


async def test_an_unknown_combination_is_the_exact_one_with_a_note(world: World) -> None:
    await world.manager.follow(listed(pulled("a"), pulled("b"), combination="magic"))
    assert world.names()["shop"] in world.host.combined
    assert "'magic'" in world.manager.notes[0]


async def test_an_engine_without_adapters_says_that_it_needs_a_restart(tmp_path: Path) -> None:
    world = World(tmp_path, takes_adapters=False)
    await world.manager.follow(listed(pulled("a")))
    assert world.states() == {"a": "NeedsRestart"}
    assert world.manager.bodies()[0]["reason"] == "AdapterNeedsRestart"
    assert "engine echo" in world.message("a")
    assert world.names() == {"shop": BASE, "shop:base": BASE}


async def test_folders_are_adapters_with_their_strengths_where_there_is_no_sidecar(tmp_path: Path) -> None:
    for name in ("zeta", "alpha", "lost+found", ".hidden"):
        (tmp_path / name).mkdir()
    (tmp_path / "a file").touch()
    world = World(
        tmp_path, live_adapters=None, adapters=tmp_path, adapter_strengths={"zeta": 0.25, "gone": 1.0}
    )
    assert world.manager.expected
    await world.manager.start()
    bodies = [(body["name"], body["strength"]) for body in world.manager.bodies()]
    assert bodies == [("alpha", 1.0), ("zeta", 0.25), ("gone", 1.0)]
    assert world.host.combined[world.names()["zeta"]] == {"zeta@folder": 0.25}
    assert not (tmp_path / IN_USE_FILE).exists()


async def test_no_folder_means_nothing_to_wait_for(tmp_path: Path) -> None:
    world = World(tmp_path, live_adapters=None)
    assert not world.manager.expected
    await world.manager.start()
    assert world.manager.bodies() == []


async def test_the_folders_in_use_are_written_before_they_are_read_and_until_they_are_gone(
    world: World, tmp_path: Path
) -> None:
    def in_use() -> list[str]:
        return list(json.loads((tmp_path / IN_USE_FILE).read_text())["paths"])

    await world.manager.follow(listed(pulled("a"), pulled("x", kind="bad")))
    assert in_use() == sorted([pulled("a").path, pulled("x", kind="bad").path])
    await world.manager.follow(listed(pulled("a", NEW), generation="h"))
    assert in_use() == sorted([pulled("a").path, pulled("a", NEW).path])
    world.now = 10.0
    await world.manager.look(StateFile(tmp_path))
    assert in_use() == [pulled("a", NEW).path]


async def test_the_start_waits_until_the_first_list_has_settled(world: World, tmp_path: Path) -> None:
    waiting = replace(pulled("a"), state=PullState.PULLING, digest="", path="")
    replace_file(tmp_path / STATE_FILE, listed(waiting).render())
    world.manager._patience = replace(world.manager._patience, first_list=20.0, settled=20.0)
    start = asyncio.ensure_future(world.manager.start())
    await asyncio.sleep(0.3)
    assert not start.done()
    replace_file(tmp_path / STATE_FILE, listed(pulled("a")).render())
    await asyncio.wait_for(start, 5)
    assert world.states() == {"a": "Loaded"}
    await world.manager.stop()


async def test_the_start_goes_on_without_a_list_and_takes_it_later(world: World, tmp_path: Path) -> None:
    await asyncio.wait_for(world.manager.start(), 5)
    assert "no list of adapters" in world.manager.notes[0]
    replace_file(tmp_path / STATE_FILE, listed(pulled("a")).render())
    async with asyncio.timeout(5):
        while not world.host.loaded:  # noqa: ASYNC110 - the file watch has no event for a test
            await asyncio.sleep(0.02)
    assert world.manager.notes == []
    await world.manager.stop()


async def test_the_start_goes_on_when_a_pull_takes_too_long(world: World, tmp_path: Path) -> None:
    waiting = replace(pulled("a"), state=PullState.PULLING, digest="", path="")
    replace_file(tmp_path / STATE_FILE, listed(waiting).render())
    await asyncio.wait_for(world.manager.start(), 5)
    assert world.states() == {"a": "Pulling"}
    await world.manager.stop()


async def test_a_list_that_is_damaged_is_not_followed(world: World, tmp_path: Path) -> None:
    file = StateFile(tmp_path)
    replace_file(tmp_path / STATE_FILE, listed(pulled("a")).render())
    await world.manager.look(file)
    replace_file(tmp_path / STATE_FILE, "{")
    await world.manager.look(file)
    assert world.states() == {"a": "Loaded"}
    assert "not followed" in world.manager.notes[0]
    replace_file(tmp_path / STATE_FILE, listed(pulled("a"), generation="h").render())
    await world.manager.look(file)
    assert (world.manager.notes, world.manager.generation) == ([], "h")
