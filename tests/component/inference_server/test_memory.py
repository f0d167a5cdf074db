"""Memory stays as it is, however many requests come and go, answered or left by their clients."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.component.inference_server.process import ServerProcess, wait_for

pytestmark = pytest.mark.component
MIB = 1024**2
ANSWERED, LEFT = 2000, 300
WARM_UP = 500  # allocators and caches fill during the first requests
MAY_GROW = 3 * MIB  # to keep the answers with their tokens would be more
ROUNDS = 4
MAY_GROW_WITH_LEAVERS = 16 * MIB  # to keep them would be 11 a round


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    started = ServerProcess(
        *("--max-queue", "1000", "--adapters", str(tmp_path / "none")),
        log=tmp_path / "termination-log",
        module="tests.component.inference_server.slow_echo",
        environment={"TOKEN_SECONDS": "0.001"},
    )
    try:
        started.wait_ready()
        yield started
    finally:
        started.stop()


async def answer(url: str, count: int) -> None:
    """Send `count` requests, 16 at a time, and check each answer."""
    limits = httpx.Limits(max_connections=16)
    async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False, limits=limits) as client:

        async def ask(number: int) -> None:
            text = f"question {number} " + "x" * 20
            reply = await client.post("/chat", json={"prompt": text})
            assert reply.json() == {"Result": text}

        for first in range(0, count, 100):
            await asyncio.gather(*(ask(number) for number in range(first, first + 100)))


def leave(url: str, count: int) -> None:
    """Send `count` requests that would take a second, and close each connection without reading."""
    port = int(url.rpartition(":")[2])
    body = '{"prompt": "' + "م" * 1000 + '"}'  # token ids above 256 are objects of their own
    head = f"POST /chat HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body.encode())}\r\n\r\n"
    for _ in range(count):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall((head + body).encode())


def depth(client: httpx.Client) -> float:
    lines = client.get("/metrics").text.splitlines()
    (line,) = [line for line in lines if line.startswith("kaito_inference_queue_depth ")]
    return float(line.split()[1])


async def test_memory_is_flat_over_2000_answers(server: ServerProcess) -> None:
    await answer(server.url, WARM_UP)
    before = server.resident_bytes()
    await answer(server.url, ANSWERED)
    assert server.resident_bytes() - before < MAY_GROW


async def test_memory_is_flat_over_300_clients_that_leave_and_nothing_goes_on_for_them(
    server: ServerProcess,
) -> None:
    await answer(server.url, WARM_UP)
    with server.client() as client:
        after: list[int] = []
        for _ in range(2 * ROUNDS):
            leave(server.url, LEFT)
            wait_for(lambda: depth(client) == 0, 20, "all are gone")
            after.append(server.resident_bytes())
        # How many are there at once differs from round to round, and so does what the allocator holds. What
        # is kept for good lifts the lowest of the later rounds too, by four rounds of it.
        assert min(after[ROUNDS:]) - min(after[:ROUNDS]) < MAY_GROW_WITH_LEAVERS
        assert client.post("/chat", json={"prompt": "still here"}).json() == {"Result": "still here"}
    seen = [line for line in server.lines if line.get("code") == 499]
    assert len(seen) > LEFT // 2  # most were accepted before their client left
