"""Two real registries, and the program with its folders."""

import json
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.component.adapter_sync.images import Registry
from tools.localcluster.registry import PROGRAM, configuration

_HTPASSWD = "htpasswd"


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _serve(folder: Path, account: tuple[str, str] | None) -> Iterator[Registry]:
    if shutil.which(PROGRAM) is None or shutil.which(_HTPASSWD) is None:
        pytest.skip(f"{PROGRAM} or {_HTPASSWD} is not installed; run `make setup`")
    port, passwords = _free_port(), None
    if account:
        passwords = folder / "htpasswd"
        line = subprocess.run(
            [_HTPASSWD, "-niB", account[0]], input=account[1], text=True, check=True, capture_output=True
        )
        passwords.write_text(line.stdout)
    config = folder / "registry.yaml"
    config.write_text(
        configuration(
            IPv4Address("127.0.0.1"), port, str(folder / "content"), str(passwords) if passwords else None
        )
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([PROGRAM, "serve", str(config)], stdout=log, stderr=log)
    registry = Registry(f"127.0.0.1:{port}", account)
    try:
        wait_for(lambda: _answers(registry.host))
        yield registry
    finally:
        process.terminate()
        process.wait(10)


def _answers(host: str) -> bool:
    try:
        return requests.get(f"http://{host}/v2/", timeout=2).status_code in {200, 401}
    except requests.RequestException:
        return False


def wait_for(reached: Callable[[], Any], seconds: float = 30) -> Any:
    """Return the first true answer of `reached`."""
    end = time.monotonic() + seconds
    while not (found := reached()):
        assert time.monotonic() < end, "not reached in time"
        time.sleep(0.05)
    return found


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    yield from _serve(tmp_path_factory.mktemp("open"), None)


@pytest.fixture(scope="module")
def private_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    yield from _serve(tmp_path_factory.mktemp("private"), ("kaito", secrets.token_urlsafe(12)))


class Program:
    """The program, its folders laid out as the kubelet does, and what it wrote."""

    def __init__(self, folder: Path) -> None:
        self.config, self.to, self.auth = folder / "config", folder / "adapter", folder / "auth"
        for path in (self.config, self.to, self.auth):
            path.mkdir()
        self.live = self.to / "live"
        self.log = folder / "log"
        self._versions = 0
        self._process: subprocess.Popen[bytes] | None = None

    def want(self, *adapters: dict[str, Any], combination: str = "cat") -> None:
        """Write the list of adapters."""
        wanted = [{"strength": 1.0, "inPod": False, **adapter} for adapter in adapters]
        self.want_text(json.dumps({"adapters": wanted, "combination": combination}))

    def want_text(self, text: str) -> None:
        self._mount(self.config, {"adapters.json": text})

    def _mount(self, folder: Path, files: dict[str, str]) -> None:
        """Swap the folder's ..data link, as the kubelet does."""
        self._versions += 1
        version = folder / f"..version_{self._versions}"
        for name, text in files.items():
            (version / name).parent.mkdir(parents=True, exist_ok=True)
            (version / name).write_text(text)
            top = folder / name.split("/", maxsplit=1)[0]
            if not top.is_symlink():
                top.symlink_to(Path("..data") / top.name)
        link = folder / "..data_tmp"
        link.symlink_to(version.name)
        link.replace(folder / "..data")

    def secret(self, name: str, text: str) -> None:
        self._mount(self.auth, {f"{name}/.dockerconfigjson": text})

    def start(self, *flags: str) -> None:
        command = [sys.executable, "-m", "inference_server.adapter_sync", "--config", str(self.config)]
        command += ["--to", str(self.to), "--auth", str(self.auth), *flags]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, umask=0o077)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        assert self._process
        self._process.send_signal(number)
        return self._process.wait(10)

    def wait_code(self) -> int:
        assert self._process
        return self._process.wait(20)

    def close(self) -> None:
        if self._process and self._process.poll() is None:
            self._process.kill()
            self._process.wait(10)

    def resident_bytes(self) -> int:
        assert self._process
        text = Path(f"/proc/{self._process.pid}/status").read_text()
        line = next(line for line in text.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) * 1024

    def state(self) -> dict[str, Any]:
        path = self.live / "state.json"
        content: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return content

    def adapter(self, name: str) -> dict[str, Any]:
        found = [item for item in self.state().get("adapters", []) if item["name"] == name]
        return found[0] if found else {}

    def until(self, name: str, state: str, seconds: float = 30, **fields: str) -> dict[str, Any]:
        """Wait for an adapter's state, and return it."""

        def reached() -> dict[str, Any] | None:
            found = self.adapter(name)
            expected = {"state": state, **fields}
            return found if found.items() >= expected.items() else None

        try:
            found: dict[str, Any] = wait_for(reached, seconds)
        except AssertionError:
            pytest.fail(f"{name} is {self.adapter(name)}, not {state} {fields}\n{self.log.read_text()}")
        return found

    def logs(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    found = Program(tmp_path)
    yield found
    found.close()
