"""Find deletions that the watches missed: list each kind's metadata and forget what is no longer there.

A watch that was disconnected for long is listed anew and says nothing of what was deleted meanwhile.
"""

import asyncio
import contextlib
import logging
from time import monotonic
from typing import Protocol

from kaito_operator.kube.client import Kube, path_of
from kaito_operator.kube.errors import ApiError, NotFound
from kaito_operator.shell.store import NamespacedName, Obj
from kaito_operator.shell.watch import Kind
from kaito_operator.shell.workqueue import WorkQueue

AFTER_RELIST_S = 2.0
EVERY_S = 600.0

logger = logging.getLogger(__name__)


class Watched(Protocol):
    """Watches whose stores are swept."""

    kinds: tuple[Kind, ...]
    synced: asyncio.Event

    def forgotten(self, kind: Kind, gone: Obj) -> None:
        """An object has left its store."""


class Sweeper:
    """Sweeps a kind soon after its watch was listed anew, and every kind every ten minutes."""

    def __init__(self, kube: Kube, queue: WorkQueue[NamespacedName]) -> None:
        self._kube = kube
        self._queue = queue
        self._relisted: dict[str, Kind] = {}
        self._wake = asyncio.Event()

    def relisted(self, kind: Kind) -> None:
        """The watch of this kind has started over."""
        self._relisted[kind.plural] = kind
        self._wake.set()

    async def run(self, watch: Watched) -> None:
        """Sweep for ever."""
        while not watch.synced.is_set():
            await asyncio.sleep(AFTER_RELIST_S)
            await self.look_for_nothing(watch)
        next_full = monotonic() + EVERY_S
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(next_full - monotonic()):
                    await self._wake.wait()
                await asyncio.sleep(AFTER_RELIST_S)  # one sweep for a whole burst of listed objects
            kinds = tuple(self._relisted.values())
            if monotonic() >= next_full:
                kinds, next_full = watch.kinds, monotonic() + EVERY_S
            self._relisted.clear()
            self._wake.clear()
            for kind in kinds:
                await self.sweep(kind, watch)

    async def look_for_nothing(self, watch: Watched) -> None:
        """Say that the first picture is complete when there is nothing to be seen.

        A cluster without a node and a Workspace sends no event, and so nothing else would ever say it.
        """
        try:
            for kind in watch.kinds:
                if await self._any(kind):
                    return
        except ApiError as error:
            logger.warning("first look failed", extra={"error": str(error)})
            return
        watch.synced.set()

    async def _any(self, kind: Kind) -> bool:
        try:
            path = path_of(kind.group_version, kind.plural)
            listing = await self._kube.list_metadata(path, **kind.query, limit="1")
        except NotFound:
            return False  # a kind that is not installed has no objects
        return bool(listing.get("items", True))

    async def sweep(self, kind: Kind, watch: Watched) -> None:
        """Forget the objects of this kind that are gone, and wake their Workspaces."""
        try:
            listing = await self._kube.list_metadata(path_of(kind.group_version, kind.plural), **kind.query)
        except ApiError as error:
            logger.warning("sweep failed", extra={"kind": kind.plural, "error": str(error)})
            self.relisted(kind)
            return
        present = {item["metadata"]["uid"] for item in listing.get("items", ())}
        version = str(listing.get("metadata", {}).get("resourceVersion", ""))
        for gone in kind.store.sweep(present, version):
            watch.forgotten(kind, gone)
            for key in kind.owners(gone):
                self._queue.add(key)
