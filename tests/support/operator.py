"""The operator and the provisioner as child processes, from this checkout, against a kubeconfig's cluster."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from tests.support.kube import eventually

CHECKOUT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class OperatorProcess:
    """Started on entry, stopped on exit; may be killed and started again in between."""

    module = "kaito_operator"
    leader_metric = "kaito_leader"

    def __init__(self, kubeconfig: Path, log: Path, namespace: str, **settings: str) -> None:
        self.port = free_port()
        self.log = log
        self._environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("KAITO_")},
            "KUBECONFIG": str(kubeconfig),
            "KAITO_NAMESPACE": namespace,
            "KAITO_HTTP_PORT": str(self.port),
            "KAITO_IDENTITY": f"test-{self.port}",
            "KAITO_RUNTIME_IMAGE": "localhost:5000/kaito-inference:none",
            "KAITO_PROJECT_REGISTRY": "localhost:5000",
            "KAITO_PROVISIONING": "none",
            **settings,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> Self:
        """Start, and wait until it has seen the cluster and may write."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self.module],
                env=self._environment,
                cwd=CHECKOUT,
                stdout=log,
                stderr=log,
            )
        if wait:
            eventually(self.leads, timeout_s=30, what=self.words)
        return self

    def leads(self) -> bool:
        """True when it is ready and holds the Lease."""
        assert self.process is not None
        assert self.process.poll() is None, f"the operator ended: {self.words()}"
        try:
            base = f"http://127.0.0.1:{self.port}"
            ready = httpx.get(f"{base}/readyz", timeout=2).status_code == 200
            return ready and f"{self.leader_metric} 1.0" in httpx.get(f"{base}/metrics", timeout=2).text
        except httpx.HTTPError:
            return False

    def metrics_text(self) -> str:
        """/metrics."""
        return httpx.get(f"http://127.0.0.1:{self.port}/metrics", timeout=5).text

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        lines = [line.rsplit(" ", 1) for line in self.metrics_text().splitlines() if not line.startswith("#")]
        return sum(float(value) for key, value in lines if key.split("{")[0] == name)

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def stop(self) -> int | None:
        """SIGTERM, and its exit code."""
        return self._end(signal.SIGTERM)

    def words(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""

    def _end(self, how: signal.Signals) -> int | None:
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(timeout=30)
        self.process = None
        return code

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class ProvisionerProcess(OperatorProcess):
    """The gpu-provisioner, in the same way."""

    module = "kaito_operator.provisioner"
    leader_metric = "kaito_provisioner_leader"
