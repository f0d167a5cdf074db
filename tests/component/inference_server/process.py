"""The server as a process: started as a pod starts it, spoken to over loopback, ended by a signal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

START_SECONDS = 90.0  # importing torch on a busy machine


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Poll until `condition` holds; fail with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


class ServerProcess:
    """One running `python -m inference_server`; its log lines are collected as they come."""

    def __init__(
        self,
        *arguments: str,
        log: Path,
        environment: dict[str, str] | None = None,
        module: str = "inference_server",
    ) -> None:
        self.lines: list[dict[str, Any]] = []
        self.termination_log = log
        log.touch()  # as the kubelet does
        command = [sys.executable, "-m", module, "--port", "0", "--termination-log", str(log)]
        self._process = subprocess.Popen(
            [*command, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1", **(environment or {})},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def url(self) -> str:
        """The address; waits until the socket is open."""
        wait_for(lambda: bool(self._logged("listening")) or not self._runs(), 30, f"listening; {self.lines}")
        return f"http://127.0.0.1:{self._logged('listening')[0]['port']}"

    def client(self) -> httpx.Client:
        """A client of this server; the caller closes it."""
        return httpx.Client(base_url=self.url, timeout=60, trust_env=False)

    def wait_ready(self) -> None:
        """Wait for /healthz to say 200."""
        url = self.url

        def ready() -> bool:
            assert self._runs(), f"the server ended: {self.lines}"
            return httpx.get(f"{url}/healthz", timeout=10, trust_env=False).status_code == 200

        wait_for(ready, START_SECONDS, "ready")

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal to this process alone."""
        self._process.send_signal(number)

    def wait(self, seconds: float = 30) -> int:
        """Wait for the end, and return the exit code."""
        code = self._process.wait(seconds)
        self._reader.join(5)
        return code

    def stop(self) -> None:
        """End the process, whatever it does."""
        if self._runs():
            self._process.kill()
        self.wait()
        if self._process.stdout:
            self._process.stdout.close()

    def text(self) -> str:
        """All that it logged."""
        return "\n".join(json.dumps(line) for line in self.lines)

    def resident_bytes(self) -> int:
        """How much memory the process has now."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
        return int(line.split()[1]) * 1024

    def _runs(self) -> bool:
        return self._process.poll() is None

    def _logged(self, message: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line.get("message") == message]

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                self.lines.append(json.loads(line))
            except ValueError:
                self.lines.append({"message": "not JSON", "text": line})
