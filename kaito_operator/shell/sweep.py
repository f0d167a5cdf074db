"""Find deletions that the watches missed: list each kind's metadata and forget what is no longer there.

A watch that was disconnected for long is listed anew and says nothing of what was deleted meanwhile.
"""

import asyncio
import logging
from time import monotonic

from kaito_operator.kube.client import Kube, path_of
from kaito_operator.kube.errors import ApiError
from kaito_operator.shell.stores import WorkspaceKey
from kaito_operator.shell.watch import Kind, Watch
from kaito_operator.shell.workqueue import WorkQueue

AFTER_RELIST_S = 2.0
EVERY_S = 600.0

logger = logging.getLogger(__name__)


class Sweeper:
    """Sweeps a kind soon after its watch was listed anew, and every kind every ten minutes."""

    def __init__(self, kube: Kube, queue: WorkQueue[WorkspaceKey]) -> None:
        self._kube = kube
        self._queue = queue
        self._relisted: dict[str, Kind] = {}
        self._wake = asyncio.Event()

    def relisted(self, kind: Kind) -> None:
        """The watch of this kind has started over."""
        self._relisted[kind.plural] = kind
        self._wake.set()

    async def run(self, watch: Watch) -> None:
        """Sweep for ever."""
        while True:
            try:
                async with asyncio.timeout(EVERY_S):
                    await self._wake.wait()
                await asyncio.sleep(AFTER_RELIST_S)  # one sweep for a whole burst of listed objects
                kinds = tuple(self._relisted.values())
            except TimeoutError:
                kinds = watch.kinds
            self._relisted.clear()
            self._wake.clear()
            for kind in kinds:
                await self._sweep(kind, watch)

    async def _sweep(self, kind: Kind, watch: Watch) -> None:
        began = monotonic()
        query = {"labelSelector": kind.selector} if kind.selector else {}
        try:
            listing = await self._kube.list_metadata(path_of(kind.group_version, kind.plural), **query)
        except ApiError as error:
            logger.warning("sweep failed", extra={"kind": kind.plural, "error": str(error)})
            self.relisted(kind)
            return
        present = {item["metadata"]["uid"] for item in listing.get("items", ())}
        for gone in kind.store.sweep(present, before=began):
            watch.forgotten(kind, gone)
            for key in kind.owners(gone):
                self._queue.add(key)
