"""An adapter host without a model, and a scheduler without a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from inference_server.adapter_sync.state import LiveAdapter, LiveState, PullState
from inference_server.adapters.manager import AdapterManager, Patience
from inference_server.echo_engine import EchoEngine
from inference_server.engine import AdapterFiles, Combination
from inference_server.errors import AdapterRefused
from inference_server.models import Models
from inference_server.options import ServerOptions

T = TypeVar("T")


class FakeHost:
    """Remembers what is loaded. An adapter's path says what it is: .../bad, .../dora, .../broken."""

    def __init__(self) -> None:
        self.loaded: dict[str, str] = {}  # kind by revision
        self.combined: dict[str, Mapping[str, float]] = {}
        self.reads: list[str] = []
        self.cannot: set[str] = set()  # ways of combination that fail

    def prepare(self, adapter: AdapterFiles) -> None:
        self.reads.append(adapter.revision)
        if adapter.path.name == "bad":
            raise AdapterRefused(f"adapter {adapter.name!r} is bad; train it again")
        if adapter.path.name == "broken":
            raise ZeroDivisionError("a defect")

    def load(self, adapter: AdapterFiles) -> str:
        assert adapter.revision not in self.loaded
        self.loaded[adapter.revision] = adapter.path.name
        return "it names another base." if adapter.path.name == "foreign" else ""

    def mergeable(self, revision: str) -> str:
        return "DoRA" if self.loaded[revision] == "dora" else ""

    def combine(self, revision: str, parts: Mapping[str, float], how: Combination) -> None:
        if how in self.cannot:
            raise AdapterRefused(f"not by {how}; choose cat")
        assert set(parts) <= set(self.loaded)
        assert all(self.loaded[part] != "dora" for part in parts)
        assert 0 not in parts.values()
        self.combined[revision] = dict(parts)

    def unload(self, revision: str) -> None:
        self.loaded.pop(revision, None)
        self.combined.pop(revision, None)

    @property
    def everything(self) -> set[str]:
        return {*self.loaded, *self.combined}


class Immediate:
    """Runs functions at once. `used` are the revisions of running requests."""

    def __init__(self) -> None:
        self.used: set[str] = set()

    async def between_steps(self, function: Callable[[], T]) -> T:
        await asyncio.sleep(0)
        return function()

    async def unless_in_use(self, revision: str, function: Callable[[], None]) -> bool:
        if revision in self.used:
            return False
        function()
        return True


class HostingEngine(EchoEngine):
    """An echo that takes adapters."""

    adapters: Any

    def __init__(self, host: FakeHost | None) -> None:
        super().__init__()
        self.adapters = host


class World:
    """A manager with fakes all around it, and a clock that a test moves."""

    def __init__(self, folder: Path, *, takes_adapters: bool = True, **options: Any) -> None:
        self.host = FakeHost()
        self.scheduler = Immediate()
        self.models = Models("shop", "tiny")
        self.now = 0.0
        given = ServerOptions(**{"adapters": folder / "none", "live_adapters": folder, **options})
        engine = HostingEngine(self.host if takes_adapters else None)
        self.manager = AdapterManager(
            given, engine, self.scheduler, self.models, Patience(0.2, 0.2, 5.0), lambda: self.now
        )

    def names(self) -> dict[str, str]:
        return {entry.name: entry.revision for entry in self.models.all()}

    def states(self) -> dict[str, str]:
        return {str(body["name"]): str(body["state"]) for body in self.manager.bodies()}

    def message(self, name: str) -> str:
        return next(str(body["message"]) for body in self.manager.bodies() if body["name"] == name)


def pulled(name: str, digest: str = "1" * 64, strength: float = 1.0, kind: str = "good") -> LiveAdapter:
    """An adapter on the disk."""
    image, path = f"registry/{name}:v1", f"/live/{name}@{digest[:12]}/{kind}"
    return LiveAdapter(name, image, strength, f"sha256:{digest}", path, PullState.PULLED)


def listed(*adapters: LiveAdapter, generation: str = "g", combination: str = "cat") -> LiveState:
    return LiveState(generation, combination, adapters)
