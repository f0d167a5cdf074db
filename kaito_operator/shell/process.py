"""The tasks of a process that watches and writes: how they start, what ends them, how they stop.

Start: HTTP, elector, workers, sweeper, and kopf last, because kopf cancels every task that is younger
than itself when it ends. Any task that ends by itself ends the process; the kubelet starts it again.
Stop, on SIGTERM: workers finish what they hold, the Lease is given back, the watches are cut.
"""

import asyncio
import logging
import signal
from dataclasses import dataclass, field
from typing import Protocol

import kopf
from aiohttp import web

from kaito_operator.kube.leader import Elector
from kaito_operator.shell.heartbeat import Heartbeat
from kaito_operator.shell.sweep import Sweeper
from kaito_operator.shell.watch import ObjectWatch, watch_settings

CANCEL_S = 2.0

logger = logging.getLogger(__name__)


class Controller(Protocol):
    """The workers, as far as a process starts and stops them."""

    heartbeat: Heartbeat

    async def work(self) -> None:
        """One worker: take keys for ever."""

    async def drain(self, timeout_s: float) -> None:
        """Let the workers finish what they hold, and take nothing more."""


class Probes(Protocol):
    """What answers the kubelet and Prometheus."""

    async def start(self, port: int) -> web.AppRunner:
        """Listen."""


@dataclass
class Process:
    """See the module's text.

    Attributes:
        workers: how many keys are worked on at once.
        drain_s: how long a worker may take to finish what it holds when the process stops.
    """

    elector: Elector
    controller: Controller
    sweeper: Sweeper
    watch: ObjectWatch
    workers: int
    http_port: int
    drain_s: float
    _watching: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    async def run(self, probes: Probes) -> int:
        """Run until SIGTERM, or until a part fails.

        Returns:
            Exit code: 0 after SIGTERM, 1 when a part ended by itself.
        """
        server = await probes.start(self.http_port)
        controller = self.controller
        parts = [
            asyncio.create_task(self.elector.run(), name="elector"),
            asyncio.create_task(controller.heartbeat.run(), name="heartbeat"),
            asyncio.create_task(self.sweeper.run(self.watch), name="sweeper"),
            asyncio.create_task(self._until_stopped(), name="signals"),
            *(asyncio.create_task(controller.work()) for _ in range(self.workers)),
        ]
        parts.append(asyncio.create_task(self._run_kopf(), name="kopf"))
        done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        code = self._verdict(done)
        await self._shut_down(parts)
        await server.cleanup()
        return code

    async def _run_kopf(self) -> None:
        await kopf.operator(
            registry=self.watch.registry(),
            settings=watch_settings(self.watch.kinds),
            clusterwide=True,
            standalone=True,
            ready_flag=self._watching,
        )

    async def _until_stopped(self) -> None:
        """Return on SIGTERM or SIGINT.

        kopf installs handlers of its own when it starts, and takes many seconds to end its watches; ours
        replace them, since we have nothing to wait for but our own writes.
        """
        await self._watching.wait()
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await stop.wait()

    def _verdict(self, done: set[asyncio.Task[None]]) -> int:
        for task in done:
            error = None if task.cancelled() else task.exception()
            if error is not None:
                logger.error("part failed", extra={"part": task.get_name()}, exc_info=error)
                return 1
        names = [task.get_name() for task in done]
        # Before our handlers are in place, kopf's end on a signal.
        stopped = "signals" in names or ("kopf" in names and not self._watching.is_set())
        logger.info("stopping", extra={"parts": names})
        return 0 if stopped else 1

    async def _shut_down(self, parts: list[asyncio.Task[None]]) -> None:
        await self.controller.drain(self.drain_s)
        # The elector first: its next renewal would take back what is given back.
        await _cancel([task for task in parts if task.get_name() == "elector"])
        await self.elector.release()
        await _cancel(parts)


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=CANCEL_S)
