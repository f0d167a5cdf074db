"""Background work in order: what concerns one pool is done one after the other, pools go side by side."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)

Work = Callable[[], Awaitable[None]]


class Chains:
    """Tasks of one event loop, chained by name."""

    def __init__(self) -> None:
        self._last: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def append(self, name: str, work: Work) -> "asyncio.Task[None]":
        """Do work after everything that was appended under this name before."""
        before = self._last.get(name)

        async def follow() -> None:
            if before:
                await asyncio.wait([before])
            await work()

        task = self._last[name] = self.start(follow)
        return task

    def start(self, work: Work) -> "asyncio.Task[None]":
        """Do work beside everything else. Its error is logged, and raised to whoever awaits the task."""

        async def run() -> None:
            await work()

        task = asyncio.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    async def finish(self, name: str) -> None:
        """Wait until nothing of this name is left to do."""
        while (last := self._last.get(name)) and not last.done():
            await asyncio.wait([last])

    async def stop(self) -> None:
        """End all work where it stands."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.error("work on an agent pool failed", exc_info=error)
