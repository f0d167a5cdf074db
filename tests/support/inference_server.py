"""The inference server as a child process on loopback."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from tests.support.kube import eventually
from tests.support.operator import CHECKOUT, free_port


class ServerProcess:
    """Started on entry and ready then; stopped on exit."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self.port = free_port()
        self.log = folder / f"server-{self.port}.log"
        self.termination_log = folder / f"termination-{self.port}"
        self.termination_log.touch()
        self._command = [
            *(sys.executable, "-m", "inference_server", "--host", "127.0.0.1"),
            *("--port", str(self.port), "--termination-log", str(self.termination_log)),
            *("--dtype", "float32", *arguments),  # what the library's expected answers were computed in
        ]
        self._environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HOME": str(folder), **environment}
        self.process: subprocess.Popen[bytes] | None = None
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60)

    def start(self) -> Self:
        """Start, without waiting for anything."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, env=self._environment, cwd=CHECKOUT, stdout=log, stderr=log
            )
        return self

    def health(self) -> int:
        """The code of /healthz, 0 while nobody listens."""
        assert self.process is not None
        assert self.process.poll() is None, f"the server ended: {self.words()}"
        try:
            return self.http.get("/healthz").status_code
        except httpx.HTTPError:
            return 0

    def ready(self) -> Self:
        """Wait until it is ready."""
        eventually(lambda: self.health() == 200, timeout_s=60, what=self.words)
        return self

    def chat(self, **body: Any) -> httpx.Response:
        """POST /chat."""
        return self.http.post("/chat", json=body)

    def result(self, **body: Any) -> str:
        """The Result of POST /chat, which has to be a 200."""
        answer = self.chat(**body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["Result"])

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self, timeout_s: float = 40) -> int:
        """The exit code."""
        assert self.process is not None
        return self.process.wait(timeout=timeout_s)

    def words(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-3000:]

    def __enter__(self) -> Self:
        return self.start().ready()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
