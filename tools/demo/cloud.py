"""The demo's simulated cloud: a process beside the cluster that answers as Azure and boots real nodes."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from tools.install import FILES, CloudAccess
from tools.localcluster.paths import write_private

CHECKOUT = Path(__file__).resolve().parents[2]
FOLDER = CHECKOUT / ".local" / "simcloud"
START_S = 30.0
_PATHS = {"ARM_CA_BUNDLE": "ca.pem", "AZURE_FEDERATED_TOKEN_FILE": "federated-token"}


class CloudError(RuntimeError):
    """The simulated cloud did not start; the text holds its last words."""


class DemoCloud:
    """`python -m tools.simcloud serve`, in the background, found again by the next run.

    Args:
        address: of this machine, which pods of the cluster reach too.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._log = FOLDER / "serve.log"
        self._pid = FOLDER / "serve.pid"

    def start(self) -> CloudAccess:
        """Start it anew, with the pools that it had. Returns how the provisioner reaches it."""
        stop()
        FOLDER.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "tools.simcloud", "serve", "--folder", str(FOLDER)]
        command += ["--nodes", "local", "--address", self._address, "--create-s", "2"]
        with self._log.open("wb") as log:
            process = subprocess.Popen(
                command,
                cwd=CHECKOUT,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        write_private(self._pid, str(process.pid))
        return self._access(process)

    def _access(self, process: "subprocess.Popen[bytes]") -> CloudAccess:
        deadline = time.monotonic() + START_S
        while "answers at" not in (text := self._log.read_text(errors="replace")):
            if process.poll() is not None or time.monotonic() > deadline:
                msg = f"the simulated cloud did not start: {text.strip()[-500:]}"
                raise CloudError(msg)
            time.sleep(0.1)
        exports = [line.removeprefix("export ") for line in text.splitlines() if line.startswith("export ")]
        settings = dict(shlex.split(line)[0].split("=", 1) for line in exports)
        files = {name: Path(settings[key]).read_text() for key, name in _PATHS.items()}
        in_the_pod = {key: f"{FILES}/{name}" for key, name in _PATHS.items()}
        # The demo's waits are short, so the provisioner looks more often than it would at Azure.
        return CloudAccess({**settings, **in_the_pod, "POOL_POLL_SECONDS": "1"}, files)


def stop() -> None:
    """End the process that an earlier run started; pools and nodes stay."""
    record = FOLDER / "serve.pid"
    if not record.exists():
        return
    pid = int(record.read_text())
    record.unlink()
    if not _is_ours(pid):
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 10
    while _is_ours(pid) and time.monotonic() < deadline:
        time.sleep(0.1)


def forget() -> None:
    """Forget pools whose nodes went with their cluster."""
    if FOLDER.exists():
        shutil.rmtree(FOLDER)


def _is_ours(pid: int) -> bool:
    """True while this process runs and is the one that was started: process ids are used again."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"tools.simcloud" in command and str(FOLDER).encode() in command
