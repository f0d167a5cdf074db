"""The command line: a cloud that is served, interrupted, served again and removed."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError

from tests.component.simcloud.azure import TYPE, azure, code
from tests.component.simcloud.kube import TinyKube

pytestmark = pytest.mark.component

COMMAND = (sys.executable, "-m", "tools.simcloud")


@contextmanager
def served(folder: Path, *options: str) -> Iterator[Any]:
    """Run ``serve`` and give what it printed as a cloud's environment; interrupt it in the end."""
    command = [*COMMAND, "serve", "--folder", str(folder), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        environment: dict[str, str] = {}
        for line in process.stdout:
            if line.startswith("#"):
                break
            name, _, value = line.removeprefix("export ").partition("=")
            environment[name] = shlex.split(value)[0]
        try:
            yield SimpleNamespace(environment=environment)
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0


def down(folder: Path) -> str:
    command = [*COMMAND, "down", "--folder", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


async def test_nodes_stay_when_the_cloud_is_interrupted_and_go_with_down(tmp_path: Path) -> None:
    folder = tmp_path / "cloud"
    with TinyKube(tmp_path) as kube:
        with served(
            folder, "--nodes", "api", "--kubeconfig", str(kube.kubeconfig), "--create-s", "0.1"
        ) as cloud:
            async with azure(cloud) as client:
                await client.create("ws1")
        assert len(kube.named("nodes")) == 1
        assert "ws1" in down(folder)
        assert not kube.objects
    assert "none" in down(folder)


async def test_a_cloud_served_again_at_its_port_knows_its_pools(tmp_path: Path) -> None:
    with served(tmp_path) as cloud:
        port = cloud.environment["ARM_ENDPOINT"].rpartition(":")[2]
        async with azure(cloud) as client:
            await client.start("ws1")
    with served(tmp_path, "--port", port) as cloud:
        async with azure(cloud) as client:
            assert await client.names() == ["ws1"]


async def test_a_script_is_given_as_text(tmp_path: Path) -> None:
    with served(tmp_path, "--script", f"{TYPE}=quota_exceeded!") as cloud:
        async with azure(cloud) as client:
            for name in ("ws1", "ws2"):
                with pytest.raises(HttpResponseError) as caught:
                    await client.start(name)
                assert code(caught.value) == "ErrCode_InsufficientVCPUQuota"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--script", "ws1=explode"], "is not MATCH=BEHAVIOUR"),
        (["--nodes", "api"], "--kubeconfig"),
    ],
)
def test_a_wrong_option_is_one_sentence_and_status_1(tmp_path: Path, options: list[str], words: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
    command = [*COMMAND, "serve", "--folder", str(tmp_path), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
