"""A model over two processes that torchrun starts as in two pods: the same text as one, and one fate."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.component.inference_server.conftest import Tiny
from tests.component.inference_server.process import wait_for

pytestmark = pytest.mark.component
NODES = 2
PROMPTS = ["What is the capital of France?", "Name three colours.", "How do I boil an egg?"]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Node:
    """One torchrun with one process, as a pod has it."""

    def __init__(self, rank: int, size: int, meeting: int, folder: Path, log: Path) -> None:
        self.port = free_port()
        self.log = log
        log.touch()
        command = [sys.executable, "-m", "torch.distributed.run", f"--nnodes={size}", "--nproc-per-node=1"]
        command += [f"--node-rank={rank}", "--master-addr=localhost", f"--master-port={meeting}"]
        command += ["--module", "inference_server", "--model", str(folder), "--dtype", "float32"]
        command += ["--served-model-name", "tiny", "--port", str(self.port), "--cpu-threads", "1"]
        command += ["--termination-log", str(log)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def health(self) -> int:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/healthz", trust_env=False).status_code
        except httpx.HTTPError:
            return 0

    def workers(self) -> list[int]:
        """The process ids of the servers that torchrun started."""
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(process) for process in listed.split()]

    def ask(self, **body: Any) -> httpx.Response:
        return httpx.post(f"http://127.0.0.1:{self.port}/chat", json=body, trust_env=False, timeout=60)


@contextlib.contextmanager
def group(folder: Path, size: int, logs: Path) -> Iterator[list[Node]]:
    """Start `size` nodes, wait until they are ready, and leave nothing of them."""
    meeting = free_port()
    started = [Node(rank, size, meeting, folder, logs / f"log-{size}-{rank}") for rank in range(size)]
    try:
        wait_for(lambda: all(node.health() == 200 for node in started), 200, "all are ready")
        yield started
    finally:
        for node in started:
            # torchrun gives its workers a session of their own: they have to be found before it goes.
            workers = node.workers() if node.process.poll() is None else []
            node.process.kill()
            node.process.wait()
            for worker in workers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)


@pytest.fixture
def nodes(made: Tiny, tmp_path: Path) -> Iterator[list[Node]]:
    with group(made.folder / "model", NODES, tmp_path) as started:
        yield started


@pytest.mark.timeout(600)
def test_three_processes_say_what_one_says_on_a_real_model(smollm2: Path, tmp_path: Path) -> None:
    said = {}
    for size in (1, 3):  # SmolLM2 has 3 heads of keys and values
        with group(smollm2, size, tmp_path) as members:
            asked = [
                members[0].ask(prompt=prompt, generate_kwargs={"do_sample": False, "max_new_tokens": 16})
                for prompt in PROMPTS
            ]
            said[size] = [answer.json()["Result"] for answer in asked]
    assert said[3] == said[1]
    assert "Paris" in said[1][0]


def test_two_processes_say_what_one_says_and_both_end_when_one_is_lost(nodes: list[Node], made: Tiny) -> None:
    leader, follower = nodes
    words = ["w1", "w2", "w3"]
    greedy = {"do_sample": False, "max_new_tokens": 12}
    answers = [leader.ask(prompt=word, generate_kwargs=greedy).json()["Result"] for word in words]
    alone = made.expected["greedy"]
    assert answers == [alone[word] for word in words]
    beams = leader.ask(prompt="w1", generate_kwargs={"num_beams": 2})
    assert beams.status_code == 400
    assert "several nodes" in beams.json()["detail"]
    os.kill(follower.workers()[-1], signal.SIGKILL)
    killed = time.monotonic()
    wait_for(lambda: leader.health() != 200, 5, "the leader says that it is not well")
    assert time.monotonic() - killed < 5
    assert leader.process.wait(30) != 0
    assert follower.process.wait(30) != 0
    assert leader.log.read_text().startswith("EngineFailed: a process of the group is lost")


def test_a_leader_that_is_told_to_end_sends_the_others_home(nodes: list[Node]) -> None:
    leader, follower = nodes
    os.kill(leader.workers()[-1], signal.SIGTERM)
    assert leader.process.wait(30) == 0
    assert follower.process.wait(30) == 0
