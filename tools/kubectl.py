"""kubectl, as the development tools call it: the one of the checkout's venv, against a named kubeconfig."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class KubectlError(RuntimeError):
    """kubectl failed; the text is the command and what kubectl said."""


def kubectl_path() -> str:
    """The venv's kubectl, so that the version is the locked one."""
    beside = Path(sys.executable).parent / "kubectl"
    return str(beside) if beside.exists() else "kubectl"


@dataclass(frozen=True)
class Kubectl:
    """Runs kubectl against one cluster."""

    kubeconfig: Path

    def run(self, *arguments: str, stdin: str | None = None, timeout_s: float = 120) -> str:
        """Run and return stdout.

        Raises:
            KubectlError: with kubectl's own words.
        """
        command = [kubectl_path(), "--kubeconfig", str(self.kubeconfig), *arguments]
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False
        )
        if done.returncode != 0:
            msg = f"kubectl {' '.join(arguments)}: {(done.stderr or done.stdout).strip()}"
            raise KubectlError(msg)
        return done.stdout

    def get(self, *arguments: str) -> dict[str, Any]:
        """`kubectl get ... -o json`."""
        answer: dict[str, Any] = json.loads(self.run("get", *arguments, "-o", "json"))
        return answer

    def watch(self, *arguments: str) -> "subprocess.Popen[str]":
        """`kubectl get ... --watch -o json`; the caller ends it."""
        command = [kubectl_path(), "--kubeconfig", str(self.kubeconfig), "get", *arguments]
        return subprocess.Popen(
            [*command, "--watch", "-o", "json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
