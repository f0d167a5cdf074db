"""Shelf: the revisions that are on the model, put there and taken away between steps."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from inference_server.adapter_sync.state import LiveAdapter
from inference_server.adapters.entries import revision_of
from inference_server.adapters.naming import Recipe
from inference_server.engine import BASE, AdapterFiles, AdapterHost, Engine
from inference_server.errors import AdapterRefused, EngineFailed
from inference_server.logs import place_of

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Between(Protocol):
    """The part of the scheduler that adapters need."""

    async def between_steps(self, function: Callable[[], T]) -> T:
        """Run `function` in the engine's thread when no step runs."""
        ...

    async def unless_in_use(self, revision: str, function: Callable[[], None]) -> bool:
        """Run `function` so if no request uses `revision`; say whether it ran."""
        ...


@dataclass(frozen=True)
class Loaded:
    """An adapter on the model. `note` is for people; `whole` what a sum would drop of it, '' if nothing."""

    path: str
    note: str
    whole: str


class Shelf:
    """What is on the model. All but accepts() belongs to one task of the event loop.

    Args:
        engine: asked for its adapters when they are needed: it has none before it is loaded.
        scheduler: runs what changes the model between steps.
        grace_s: how long a revision stays after its last name is gone. A request that has looked the name
            up may still be on its way into the queue.
        clock: seconds.
    """

    def __init__(
        self,
        engine: Engine,
        scheduler: Between,
        grace_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._scheduler = scheduler
        self._grace_s = grace_s
        self._clock = clock
        self._combined: set[str] = set()
        self._idle_since: dict[str, float] = {}  # revisions without a name, and since when
        self._closing: set[str] = set()
        self.loaded: dict[str, Loaded] = {}
        self.refused: dict[str, str] = {}  # what was wrong, by revision

    @property
    def usable(self) -> bool:
        """Say whether the engine takes adapters."""
        return self._engine.adapters is not None

    def accepts(self, revision: str) -> bool:
        """Say whether rows may be made with a revision now."""
        here = revision in self.loaded or revision in self._combined
        return revision == BASE or (here and revision not in self._closing)

    async def load(self, wanted: LiveAdapter) -> bool:
        """Put an adapter on the model, or remember why not; say which.

        Raises:
            EngineFailed: the engine is broken.
        """
        revision = revision_of(wanted)
        files = AdapterFiles(wanted.name, revision, Path(wanted.path))
        try:
            await asyncio.to_thread(self._host.prepare, files)
            note = await self._scheduler.between_steps(partial(self._host.load, files))
            whole = await self._scheduler.between_steps(partial(self._host.mergeable, revision))
        except EngineFailed:
            raise
        except AdapterRefused as error:
            why = str(error)
        except Exception as error:  # noqa: BLE001 - one adapter's defect is not the base model's
            _log.error("an adapter cannot be loaded", extra={"adapter": wanted.name, **place_of(error)})
            why = f"{type(error).__name__} while it was loaded; the log has the place"
        else:
            self.loaded[revision] = Loaded(wanted.path, note, whole)
            return True
        await self._scheduler.between_steps(partial(self._host.unload, revision))
        self.refused[revision] = why
        _log.warning("adapter refused", extra={"adapter": wanted.name, "error": why})
        return False

    async def combine(self, recipes: Mapping[str, Recipe]) -> dict[str, str]:
        """Make the combinations that are missing; return why for each that cannot be made.

        Raises:
            EngineFailed: the engine is broken.
        """
        failed: dict[str, str] = {}
        for revision, recipe in recipes.items():
            if revision in self._combined:
                continue
            try:
                make = partial(self._host.combine, revision, recipe.parts, recipe.how)
                await self._scheduler.between_steps(make)
            except EngineFailed:
                raise
            except AdapterRefused as error:
                failed[revision] = str(error)
            except Exception as error:  # noqa: BLE001 - the base model goes on
                _log.error("adapters cannot be combined", extra=place_of(error))
                failed[revision] = f"{type(error).__name__} while they were combined; the log has the place"
            else:
                self._combined.add(revision)
        return failed

    def keep(self, needed: set[str]) -> None:
        """Say which revisions have a name; the time of the others runs from when they lost theirs."""
        now, idle = self._clock(), (self._combined | set(self.loaded)) - needed
        self._idle_since = {revision: self._idle_since.get(revision, now) for revision in idle}

    async def let_go(self) -> None:
        """Unload revisions that have had no name for a while and that no request uses.

        Raises:
            EngineFailed: the engine is broken.
        """
        now = self._clock()
        for revision, since in list(self._idle_since.items()):
            if now - since < self._grace_s:
                continue
            self._closing.add(revision)
            try:
                gone = await self._scheduler.unless_in_use(revision, partial(self._host.unload, revision))
            finally:
                self._closing.discard(revision)
            if gone:
                del self._idle_since[revision]
                self._combined.discard(revision)
                if self.loaded.pop(revision, None):
                    _log.info("adapter unloaded", extra={"revision": revision})

    @property
    def _host(self) -> AdapterHost:
        host = self._engine.adapters
        assert host is not None  # noqa: S101 - nothing is loaded where nothing can be
        return host
