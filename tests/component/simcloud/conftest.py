"""A simulated cloud that is quick, with nodes that are only noted."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tools.simcloud import Pool, SimCloud


class NotedNodes:
    """A node booter that keeps a list; thread-safe.

    Attributes:
        nodes: name to providerID of what is there.
        history: every call, in order.
        dead: names of those that were killed.
        pools: the pool of every boot.
        refuses: what boots and removals fail with.
        gate, removals: while cleared, boots and removals wait.
        waiting: a removal was asked for.
    """

    def __init__(self) -> None:
        self.nodes: dict[str, str] = {}
        self.history: list[tuple[str, str]] = []
        self.pools: list[Pool] = []
        self.dead: list[str] = []
        self.refuses: str | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.removals = threading.Event()
        self.removals.set()
        self.waiting = False

    def boot(self, pool: Pool, node_name: str, provider_id: str) -> None:
        self.gate.wait(30)
        if self.refuses:
            raise RuntimeError(self.refuses)
        self.history.append(("boot", node_name))
        self.pools.append(pool)
        self.nodes[node_name] = provider_id

    def remove(self, node_name: str) -> None:
        self.waiting = True
        self.removals.wait(30)
        if self.refuses:
            raise RuntimeError(self.refuses)
        self.history.append(("remove", node_name))
        self.nodes.pop(node_name, None)

    def kill(self, node_name: str) -> None:
        self.dead.append(node_name)


@pytest.fixture
def nodes() -> NotedNodes:
    return NotedNodes()


Clouds = Callable[..., SimCloud]


@pytest.fixture
def clouds(tmp_path: Path, nodes: NotedNodes) -> Iterator[Clouds]:
    """Start clouds that end with the test."""
    with ExitStack() as stack:

        def start(**options: Any) -> SimCloud:
            settings = {"create_s": 0.05, "delete_s": 0.05, "retry_after_s": 0, "nodes": nodes, **options}
            return stack.enter_context(SimCloud(tmp_path / "cloud", **settings))

        yield start


@pytest.fixture
def cloud(clouds: Clouds) -> SimCloud:
    return clouds()
