"""One server as a child process: started, waited for, stopped."""

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Self

from tools.bench.errors import BenchError
from tools.bench.usage import Usage, usage
from tools.bench_inference.client import HOST, get
from tools.bench_inference.paths import CHECKOUT

_STOP_S = 20.0
_SETTINGS = ("KAITO_", "HF_", "TRANSFORMERS_", "OMP_", "MKL_")
"""Beginnings of variables that would make one machine's figures differ from another's."""


@dataclass
class Server:
    """Runs inside its `async with` block, entered when it is ready.

    Attributes:
        name: in messages.
        command: program and arguments, "{port}" where its port belongs.
        log: gets its output; replaced.
        ready: route that answers 200 when it is ready.
        start_s: time that it may take.
        environment: variables beside the machine's.
    """

    name: str
    command: Sequence[str]
    log: Path
    ready: str
    start_s: float = 120.0
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default=0, init=False)
    _process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    async def __aenter__(self) -> Self:
        self.port = _free_port()
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
        await asyncio.to_thread(self._stop)

    @property
    def pid(self) -> int:
        """Of its process.

        Raises:
            BenchError: it has ended.
        """
        if self._process is None or self._process.poll() is not None:
            raise self._error("has ended")
        return self._process.pid

    def usage(self) -> Usage:
        """What it has used.

        Raises:
            BenchError: it has ended.
        """
        return usage(self.pid)

    def _start(self) -> None:
        command = [word.replace("{port}", str(self.port)) for word in self.command]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)}
        # Nothing is fetched: all weights lie on this machine, and a hub that is out of reach would cost time.
        environment = {**kept, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(CHECKOUT), **self.environment}
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(command, env=environment, cwd=CHECKOUT, stdout=log, stderr=log)

    async def _wait_ready(self) -> None:
        deadline = monotonic() + self.start_s
        while self.pid:  # raises when it has ended
            try:
                if (await get(self.port, self.ready)).status == 200:
                    return
            except OSError:
                pass  # it does not listen yet
            if monotonic() > deadline:
                raise self._error(f"is not ready after {self.start_s:.0f} s")
            await asyncio.sleep(0.2)

    def _error(self, what: str) -> BenchError:
        words = self.log.read_text(errors="replace")[-1500:]
        return BenchError(f"{self.name} {what}. The end of {self.log}:\n{words}")

    def _stop(self) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])
