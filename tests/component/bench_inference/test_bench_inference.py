"""The benchmark's client and its servers as processes, on loopback."""

import asyncio
import sys
from pathlib import Path

import pytest

from tools.bench.errors import BenchError
from tools.bench_inference.client import ask, get
from tools.bench_inference.load import drive
from tools.bench_inference.peers import COMPLETIONS, ours_body
from tools.bench_inference.server import Server

pytestmark = pytest.mark.component


def bare(folder: Path, token_seconds: float = 0.005) -> Server:
    program = [sys.executable, "-m", "tools.bench_inference.programs.bare_sse"]
    command = [*program, "--port", "{port}", "--token-seconds", f"{token_seconds}"]
    return Server("bare", command, folder / "bare.log", "/healthz")


async def test_every_token_of_every_stream_is_counted_and_timed(tmp_path: Path) -> None:
    async with bare(tmp_path, token_seconds=0.02) as server:
        texts = [f"prompt {number}" for number in range(12)]
        load = await drive(server.port, COMPLETIONS, ours_body, texts, clients=4, max_tokens=10)
        assert server.usage().cpu_s > 0
    assert (load.requests, load.tokens, load.early) == (12, 120, 0)
    assert load.seconds >= 0.5  # 12 answers of 10 beats, 4 at once, are 30 beats after each other
    assert all(0 < first < load.seconds for first in load.first_s)


async def test_a_client_that_leaves_takes_no_more(tmp_path: Path) -> None:
    async with bare(tmp_path) as server:
        async with asyncio.timeout(20):
            answer = await ask(server.port, COMPLETIONS, ours_body("a", 100_000), leave_after=3)
        assert 3 <= answer.pieces < 1000
        assert answer.finish is None
        assert (await get(server.port, "/healthz")).status == 200


async def test_a_refused_request_ends_the_measurement_with_the_servers_words(tmp_path: Path) -> None:
    async with bare(tmp_path) as server:
        with pytest.raises(BenchError, match="answered 422"):
            await drive(server.port, COMPLETIONS, lambda *_: {}, ["a"], clients=1, max_tokens=10)


async def test_a_server_that_ends_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('no model here'); raise SystemExit(3)"]
    server = Server("broken", command, tmp_path / "broken.log", "/healthz")
    with pytest.raises(BenchError, match=r"(?s)broken has ended.*no model here"):
        async with server:
            pass


async def test_a_server_is_gone_when_its_block_ends(tmp_path: Path) -> None:
    async with bare(tmp_path) as server:
        port = server.port
    with pytest.raises(OSError, match=r"[Cc]onnect"):
        await get(port, "/healthz")
    with pytest.raises(BenchError, match="has ended"):
        assert server.pid
