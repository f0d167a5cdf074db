"""AdapterManager: brings what is loaded towards what is listed, between steps, while requests run.

A request keeps the revision with which it began. A new one is loaded beside the old, the names move in one
step, and the old one goes when no request uses it any more. Whatever is wrong with an adapter is said in its
entry: it never touches the base model.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from inference_server.adapter_sync.state import (
    IN_USE_FILE,
    InUse,
    LiveState,
    StateInvalid,
    parse_state,
    replace_file,
)
from inference_server.adapters.entries import (
    UNSETTLED,
    AdapterState,
    Entry,
    combination_of,
    count_states,
    entry_of,
    revision_of,
)
from inference_server.adapters.naming import Publication, Serving, publish
from inference_server.adapters.shelf import Between, Shelf
from inference_server.adapters.source import StateFile, find_folders, looks
from inference_server.engine import BASE, Engine
from inference_server.errors import EngineFailed
from inference_server.logs import place_of
from inference_server.models import Models
from inference_server.options import ServerOptions

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Patience:
    """How long things are waited for, in seconds. `grace` is explained at Shelf."""

    first_list: float = 60.0
    settled: float = 120.0
    grace: float = 5.0


class AdapterManager:
    """See the module. Everything but accepts() and the reports belongs to one task of the event loop."""

    def __init__(
        self,
        options: ServerOptions,
        engine: Engine,
        scheduler: Between,
        models: Models,
        patience: Patience | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options = options
        self._engine = engine
        self._models = models
        self._patience = patience or Patience()
        self._shelf = Shelf(engine, scheduler, self._patience.grace, clock)
        self._list = LiveState()
        self._problem = ""  # what is wrong with the list itself
        self._trouble: list[str] = []  # what is wrong with the merge
        self._entries: dict[str, Entry] = {}
        self._in_use_text = ""
        self._first = asyncio.Event()
        self._settled = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    # What others ask.

    def accepts(self, revision: str) -> bool:
        """Say whether rows may be made with a revision now."""
        return self._shelf.accepts(revision)

    def bodies(self) -> list[dict[str, object]]:
        """Return every entry as JSON."""
        return [entry.body() for entry in self._entries.values()]

    @property
    def generation(self) -> str:
        """Return which text of the list is followed."""
        return self._list.generation

    @property
    def notes(self) -> list[str]:
        """Return what a person should know beside the entries."""
        return [note for note in (self._problem, self._list.error, *self._trouble) if note]

    def counts(self) -> dict[str, int]:
        """Return how many adapters are in each state."""
        return count_states(self._entries)

    @property
    def expected(self) -> bool:
        """Say whether there is anything to wait for at the start."""
        return self._options.live_adapters is not None or bool(self._folders().adapters)

    # The life of it.

    async def start(self) -> None:
        """Load what is there; return when each adapter of the first list has settled, or took too long."""
        live = self._options.live_adapters
        if live is None:
            with contextlib.suppress(EngineFailed):  # the scheduler has told the health
                await self.follow(self._folders())
            return
        self._task = asyncio.ensure_future(self._run(live))
        seconds = self._patience.first_list
        try:
            await asyncio.wait_for(self._first.wait(), seconds)
        except TimeoutError:
            self._problem = (
                f"there is no list of adapters after {seconds:.0f} s, and requests are answered without; "
                "look at the log of the sidecar that pulls them"
            )
            _log.warning("no list of adapters", extra={"folder": str(live)})
            return
        try:
            await asyncio.wait_for(self._settled.wait(), self._patience.settled)
        except TimeoutError:
            _log.warning("ready before all adapters are", extra={"adapters": self.counts()})

    async def stop(self) -> None:
        """End the watch."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def look(self, file: StateFile) -> None:
        """Follow a new list if there is one, and let go of what is not needed any more.

        Raises:
            EngineFailed: the engine is broken.
        """
        text = await asyncio.to_thread(file.read)
        if text is not None:
            try:
                wanted = parse_state(text)
            except StateInvalid as error:
                self._problem = f"the list of adapters is not followed: {error}; the sidecar writes it anew"
                _log.warning("a list of adapters is not followed", extra={"error": str(error)})
            else:
                self._problem = ""
                await self.follow(wanted)
        await self._shelf.let_go()
        await self._announce(set())

    async def _run(self, folder: Path) -> None:
        file = StateFile(folder)
        async for _ in looks(folder):
            try:
                await self.look(file)
            except EngineFailed:
                break
            except Exception as error:  # noqa: BLE001 - the next list may be better; the base goes on
                _log.error("following the adapters failed", extra=place_of(error))
        self._first.set()
        self._settled.set()

    # One list.

    async def follow(self, wanted: LiveState) -> None:
        """Bring what is loaded towards `wanted`.

        Raises:
            EngineFailed: the engine is broken.
        """
        if wanted.generation != self._list.generation:
            self._shelf.refused.clear()  # a new list is a new attempt: memory may be free by now
        self._list = wanted
        before = {name: entry.serving for name, entry in self._entries.items()}
        self._entries = {adapter.name: entry_of(adapter) for adapter in wanted.adapters}
        for name, entry in self._entries.items():
            entry.serving = before.get(name, "")
        to_load = [entry for entry in self._entries.values() if self._judge(entry)]
        self._first.set()
        await self._announce({entry.wanted.path for entry in to_load})
        await self._publish()
        for entry in to_load:
            await self._shelf.load(entry.wanted)
            self._judge(entry)
        if to_load:
            await self._publish()
        if not any(entry.state in UNSETTLED for entry in self._entries.values()):
            self._settled.set()

    def _judge(self, entry: Entry) -> bool:
        """Set an entry's state; say whether it has to be loaded."""
        revision = revision_of(entry.wanted)
        if not self._shelf.usable:
            entry.become(AdapterState.NEEDS_RESTART, self._why_no_adapters())
        elif revision in self._shelf.loaded:
            entry.serving = revision
            entry.become(AdapterState.LOADED, self._note(entry))
        elif revision in self._shelf.refused:
            entry.become(AdapterState.REFUSED, self._shelf.refused[revision])
        return entry.state is AdapterState.LOADING

    def _note(self, entry: Entry) -> str:
        loaded = self._shelf.loaded[entry.serving]
        if loaded.whole and entry.wanted.strength not in (0, 1):
            return f"{loaded.note} It cannot be scaled: by its own name it acts in full.".lstrip()
        return loaded.note

    async def _publish(self) -> None:
        """Move the names to what is loaded, in one step; make the combinations that they need before."""
        serving = [
            Serving(name, entry.serving, entry.wanted.strength, self._shelf.loaded[entry.serving].whole)
            for name, entry in self._entries.items()
            if entry.serving
        ]
        how = combination_of(self._list.combination)
        self._trouble = (
            [] if how else [f"there is no combination {self._list.combination[:32]!r}; cat is used"]
        )
        wanted = publish(serving, how or "cat")
        for revision, why in (await self._shelf.combine(wanted.recipes)).items():
            wanted = self._without(wanted, revision, why)
        self._models.publish(wanted.merge, wanted.names)
        self._shelf.keep(wanted.revisions() | {adapter.revision for adapter in serving})
        for name, entry in self._entries.items():
            if entry.state is AdapterState.LOADED and name in wanted.apart:
                why = " ".join(filter(None, [f"{wanted.apart[name]}.", self._note(entry)]))
                entry.become(AdapterState.NOT_MERGEABLE, why)

    def _without(self, wanted: Publication, revision: str, why: str) -> Publication:
        """Leave a combination out that cannot be made: the base model stands in its place."""
        parts = wanted.recipes[revision].parts
        apart = {name: why for name, entry in self._entries.items() if entry.serving in parts}
        _log.warning("adapters cannot be combined", extra={"adapters": sorted(apart), "error": why})
        self._trouble.append(f"adapters are not combined: {why}")
        return replace(
            wanted,
            merge=BASE if wanted.merge == revision else wanted.merge,
            names={name: own for name, own in wanted.names.items() if own != revision},
            recipes={name: recipe for name, recipe in wanted.recipes.items() if name != revision},
            apart={**wanted.apart, **apart},
        )

    # The rest.

    async def _announce(self, more: set[str]) -> None:
        """Tell the sidecar which folders have to stay."""
        live = self._options.live_adapters
        if live is None:
            return
        text = InUse(frozenset({loaded.path for loaded in self._shelf.loaded.values()} | more)).render()
        if text == self._in_use_text:
            return
        try:
            await asyncio.to_thread(replace_file, live / IN_USE_FILE, text)
        except OSError as error:  # then the sidecar keeps everything
            _log.warning("cannot write which adapters are in use", extra={"error": error.strerror})
        else:
            self._in_use_text = text

    def _folders(self) -> LiveState:
        return find_folders(self._options.adapters, self._options.adapter_strengths)

    def _why_no_adapters(self) -> str:
        if self._engine.kind == "transformers":
            return (
                "a model that is divided among several processes takes no adapters; use an instanceType that "
                "holds the whole model on one node"
            )
        return (
            f"the engine {self._engine.kind} takes no adapters; start the server again with "
            "--engine transformers, on weights that are safetensors"
        )
