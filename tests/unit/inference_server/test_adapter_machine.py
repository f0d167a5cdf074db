"""Whatever sequence of lists comes, names mean what is loaded, and what is in use stays."""

import asyncio
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from typing_extensions import override

from inference_server.adapter_sync.state import LiveAdapter, PullState
from inference_server.adapters.source import StateFile
from inference_server.engine import BASE
from tests.unit.inference_server.fake_adapters import World, listed, pulled

ADAPTERS = st.lists(
    st.builds(
        lambda name, digest, strength, kind, state: (
            pulled(name, digest * 64, strength, kind)
            if state is PullState.PULLED
            else LiveAdapter(name, f"r/{name}", strength, state=state)
        ),
        st.sampled_from("abc"),
        st.sampled_from("12"),
        st.sampled_from([0.0, 0.5, 1.0]),
        st.sampled_from(["good", "good", "dora", "bad", "broken"]),
        st.sampled_from([PullState.PULLED, PullState.PULLED, *PullState]),
    ),
    unique_by=lambda adapter: adapter.name,
    max_size=3,
)


class Adapters(RuleBasedStateMachine):
    """Lists come, requests start and end, time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.world = World(Path(self.folder.name))
        self.number = 0

    @rule(adapters=ADAPTERS, how=st.sampled_from(["cat", "svd", "linear", "what"]), cannot=st.booleans())
    def list_comes(self, adapters: list[LiveAdapter], how: str, cannot: bool) -> None:
        self.number += 1
        self.world.host.cannot = {"linear"} if cannot else set()
        wanted = listed(*adapters, generation=str(self.number // 2), combination=how)
        asyncio.run(self.world.manager.follow(wanted))
        states = self.world.states()
        assert list(states) == [adapter.name for adapter in adapters]
        assert "Loading" not in states.values()

    @rule(pick=st.integers(0, 10))
    def request_starts(self, pick: int) -> None:
        names = self.world.models.all()
        revision = names[pick % len(names)].revision
        assert self.world.manager.accepts(revision)
        self.world.scheduler.used.add(revision)

    @rule(pick=st.integers(0, 10))
    def request_ends(self, pick: int) -> None:
        used = sorted(self.world.scheduler.used)
        if used:
            self.world.scheduler.used.discard(used[pick % len(used)])

    @rule(seconds=st.sampled_from([1.0, 6.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.now += seconds
        asyncio.run(self.world.manager.look(StateFile(Path(self.folder.name) / "none")))

    @invariant()
    def names_mean_what_is_loaded(self) -> None:
        assert set(self.world.names().values()) - {BASE} <= self.world.host.everything

    @invariant()
    def what_is_in_use_stays(self) -> None:
        assert self.world.scheduler.used - {BASE} <= self.world.host.everything

    @invariant()
    def the_base_is_always_there(self) -> None:
        assert self.world.names()["shop:base"] == BASE

    @override
    def teardown(self) -> None:
        """Without a list and without requests nothing is left."""
        self.world.scheduler.used.clear()
        asyncio.run(self.world.manager.follow(listed(generation="end")))
        self.world.now += 10.0
        asyncio.run(self.world.manager.look(StateFile(Path(self.folder.name) / "none")))
        left = self.world.host.everything
        self.folder.cleanup()
        assert left == set()


TestAdapters = Adapters.TestCase
TestAdapters.settings = settings(max_examples=60, stateful_step_count=12, deadline=None)
