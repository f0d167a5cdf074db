"""An engine that does what a test tells it: steps wait for permits, rows fail or break on command."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Mapping
from typing import Any, Literal

from typing_extensions import override

from inference_server.echo_engine import EchoBatch, EchoEngine
from inference_server.engine import BASE, NewRow, Outcome, Sampling
from inference_server.errors import RequestError
from inference_server.scheduling.stream import Generation

_ids = itertools.count(1)


class ScriptedBatch(EchoBatch):
    """An echo whose steps and faults a test controls. `log` has what was called, in order.

    `capacity`: rows that fit. `failure`: raised by every step while it is set. `row_errors`: by a text in a
    row's prompt, what the row ends with at its next step. `on_add` may raise. `gate`: a permit a step.
    """

    def __init__(self) -> None:
        super().__init__(0.0)
        self.log: list[tuple[Literal["add", "remove", "step"], object]] = []
        self.capacity = 1000
        self.failure: BaseException | None = None
        self.row_errors: dict[str, RequestError] = {}
        self.on_add: Callable[[NewRow], None] = lambda _: None
        self.gate: threading.Semaphore | None = None
        self.prompts: dict[int, str] = {}

    @override
    def fits(self, row: NewRow) -> bool:
        return len(self.prompts) < self.capacity

    @override
    def add(self, row: NewRow) -> None:
        self.on_add(row)
        self.prompts[row.id] = "".join(map(chr, row.prompt))
        self.log.append(("add", self.prompts[row.id]))
        super().add(row)

    @override
    def remove(self, row_id: int) -> None:
        if row_id in self.prompts:
            self.log.append(("remove", self.prompts.pop(row_id)))
        super().remove(row_id)

    @override
    def step(self) -> Mapping[int, Outcome]:
        if self.gate is not None:
            self.gate.acquire()
        self.log.append(("step", tuple(self.prompts.values())))
        if self.failure is not None:
            raise self.failure
        outcomes = dict(super().step())
        for row_id, prompt in list(self.prompts.items()):
            for text, error in self.row_errors.items():
                if text in prompt:
                    outcomes[row_id] = error
        return outcomes

    def added(self) -> list[str]:
        """The prompts that were taken in, in order."""
        return [str(what) for did, what in self.log if did == "add"]

    def steps(self) -> list[object]:
        """The prompts of each step."""
        return [what for did, what in self.log if did == "step"]


class ScriptedEngine(EchoEngine):
    """An echo engine with a ScriptedBatch."""

    batch: ScriptedBatch

    def __init__(self) -> None:
        super().__init__()
        self.batch = ScriptedBatch()


def generation(text: str, answers: int = 1, adapter: str = BASE, **sampling: Any) -> Generation:
    """A request whose answers are `text`, a character a token."""
    group = next(_ids)
    values: dict[str, Any] = {"max_new_tokens": 1000, **sampling}
    prompt = tuple(map(ord, text))
    rows = [NewRow(next(_ids), group, prompt, Sampling(**values), adapter) for _ in range(answers)]
    return Generation(tuple(rows))


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that happens in the engine's thread."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the condition lies in another thread
            await asyncio.sleep(0.001)
