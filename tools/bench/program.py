"""One of our programs as a child process, from this checkout's sources."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Self

import aiohttp

from tools.bench.errors import BenchError
from tools.bench.paths import CHECKOUT
from tools.bench.usage import Usage, usage

OURS = ("KAITO_", "AZURE_", "ARM_", "POOL_", "GC_")
"""Beginnings of settings, which a run chooses itself."""
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0


class Program:
    """Runs inside its `async with` block, entered when it is ready and holds its Lease.

    Args:
        module: what `python -m` runs.
        log: gets its output; replaced.
        settings: its environment beside the machine's.
    """

    def __init__(self, module: str, log: Path, **settings: str) -> None:
        self._module = module
        self._port = _free_port()
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(OURS)},
            "KAITO_HTTP_PORT": str(self._port),
            "KAITO_IDENTITY": "bench",
            **settings,
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.log = log

    async def __aenter__(self) -> Self:
        self._start()
        try:
            await self._wait_ready()
        except BaseException:
            self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def pid(self) -> int:
        """Of its process.

        Raises:
            BenchError: it has ended.
        """
        return self._running().pid

    def usage(self) -> Usage:
        """What it has used.

        Raises:
            BenchError: it has ended.
        """
        return usage(self.pid)

    def tracebacks(self) -> int:
        """How many of them its log holds."""
        return self.log.read_text(errors="replace").count("Traceback")

    def _start(self) -> None:
        command = [sys.executable, "-m", self._module]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command, env=self._environment, cwd=CHECKOUT, stdout=log, stderr=log
            )

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is None or self._process.poll() is not None:
            raise self._error("has ended")
        return self._process

    def _error(self, what: str) -> BenchError:
        words = self.log.read_text(errors="replace")[-2000:]
        return BenchError(f"python -m {self._module} {what}. The end of {self.log}:\n{words}")

    async def _wait_ready(self) -> None:
        deadline = monotonic() + START_TIMEOUT_S
        async with aiohttp.ClientSession(f"http://127.0.0.1:{self._port}") as session:
            while not await self._leads(session):
                self._running()
                if monotonic() > deadline:
                    raise self._error(f"is not ready after {START_TIMEOUT_S:.0f} s")
                await asyncio.sleep(0.1)

    async def _leads(self, session: aiohttp.ClientSession) -> bool:
        try:
            async with session.get("/readyz") as answer:
                if answer.status != 200:
                    return False
            async with session.get("/metrics") as answer:
                text = await answer.text()
        except aiohttp.ClientError:
            return False
        lines = text.splitlines()
        return any(line.split(" ")[0].endswith("_leader") and line.endswith(" 1.0") for line in lines)

    def _stop(self) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
