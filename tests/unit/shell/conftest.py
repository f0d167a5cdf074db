"""The watch layer with real stores and a real queue, and nothing behind it."""

import asyncio
from typing import Any

import pytest

from kaito_operator.shell.stores import Stores, WorkspaceKey
from kaito_operator.shell.watch import Kind, Watch
from kaito_operator.shell.workqueue import WorkQueue

Obj = dict[str, Any]


class Edge:
    """Feeds a Watch as kopf does: the index function first, then the event handler."""

    def __init__(self) -> None:
        self.stores = Stores()
        self.queue: WorkQueue[WorkspaceKey] = WorkQueue()
        self.synced = asyncio.Event()
        self.relisted: list[str] = []
        self.watch = Watch(
            self.stores, self.queue, self.synced, lambda kind: self.relisted.append(kind.plural)
        )

    def kind(self, plural: str) -> Kind:
        (found,) = [kind for kind in self.watch.kinds if kind.plural == plural]
        return found

    def sees(self, plural: str, obj: Obj, event: str | None = "MODIFIED") -> None:
        """One watch event; None is an object of a listing."""
        kind = self.kind(plural)
        if event != "DELETED":
            self.watch.take(kind, obj)
        self.watch.announce(kind, event, obj)

    async def woken(self) -> list[WorkspaceKey]:
        """The Workspaces that are to be looked at since the last call, in the order of their turn."""
        keys = []
        while len(self.queue):
            keys.append(await self.queue.get())
            self.queue.done(keys[-1])
        return keys


@pytest.fixture
def edge() -> Edge:
    return Edge()
