"""What HTTP and scheduling cost for each token, and what they keep in memory, with no model in the way."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from tools.bench_inference.client import ask, succeeded
from tools.bench_inference.options import Options
from tools.bench_inference.paths import FOLDER
from tools.bench_inference.peers import COMPLETIONS, endless_body
from tools.bench_inference.quiet import wait_quiet
from tools.bench_inference.result import Costs, Machine, Memory, Streams
from tools.bench_inference.server import Server

Say = Callable[[str], None]
OURS_ECHO, BARE = "ours, no weights", "bare FastAPI"
_PROMPT = "abcdefghijklmnopqrstuvwxyz"
_AT_ONCE = 16
_LOOKS = 20
"""Figures of memory in one series."""
_WARM_SHARE = 0.1
"""Part of a series that comes before its first figure: caches and pools fill."""
_MODEL_SHARE = 10
"""The model itself is asked so many times less often than the echo."""
_ECHO_TOKENS, _MODEL_TOKENS = 16, 4
"""Of each request of a series; what a leak of requests does not depend on."""


async def measure(options: Options, weights: Path, say: Say) -> Costs:
    """Measure both.

    Raises:
        BenchError: a server did not start or failed a request.
    """
    streams = [
        await _stream(options, say, OURS_ECHO, _echo("streams", options.token_s, options.streams)),
        await _stream(options, say, BARE, _bare(options.token_s)),
    ]
    many, cancelled = options.many, options.cancelled
    memory = await _memory_of(say, _echo("memory", 0.0, _AT_ONCE), many, cancelled, _ECHO_TOKENS)
    few = many // _MODEL_SHARE, cancelled // _MODEL_SHARE
    memory += await _memory_of(say, _model(weights), *few, _MODEL_TOKENS)
    return Costs(Machine.here(), streams, memory)


async def _stream(options: Options, say: Say, name: str, server: Server) -> Streams:
    """Open all streams at once, and count what comes."""
    await wait_quiet(options.quiet_s, say)
    async with server:
        body = endless_body(_PROMPT, options.stream_tokens)
        succeeded(await ask(server.port, COMPLETIONS, body))  # imports and caches
        before, began = server.usage().cpu_s, monotonic()
        answers = await asyncio.gather(*(ask(server.port, COMPLETIONS, body) for _ in range(options.streams)))
        seconds, cpu_s = monotonic() - began, server.usage().cpu_s - before
    received = sum(len(succeeded(answer).text) for answer in answers)  # a character is a token here
    asked = options.streams * options.stream_tokens
    pieces = sum(answer.pieces for answer in answers)
    found = Streams(name, options.streams, asked, received, pieces, cpu_s, seconds)
    say(
        f"{name}, {options.streams} streams: {found.cpu_ms_per_token:.4f} ms of CPU a token, "
        f"{received} of {asked} tokens in {pieces} events"
    )
    return found


@dataclass
class _Series:
    """Asks for something many times and looks at the server's memory in between."""

    server: Server
    say: Say
    tokens: int
    leave_after: int | None

    async def run(self, what: str, count: int) -> Memory:
        step = max(count // _LOOKS, 1)
        await self._some(max(round(count * _WARM_SHARE), _AT_ONCE))
        done, rss = [0], [self.server.usage().rss_mib]
        while done[-1] < count:
            await self._some(step)
            done.append(done[-1] + step)
            rss.append(self.server.usage().rss_mib)
        found = Memory(self.server.name, what, done, rss)
        self.say(f"{found.name}, {done[-1]} {what}: {rss[0]:.1f} to {rss[-1]:.1f} MiB")
        return found

    async def _some(self, count: int) -> None:
        waiting = iter(range(count))

        async def client() -> None:
            for number in waiting:
                body = endless_body(f"{number} {_PROMPT}", self.tokens)
                answer = await ask(self.server.port, COMPLETIONS, body, leave_after=self.leave_after)
                succeeded(answer)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(_AT_ONCE, count)):
                group.create_task(client())


async def _memory_of(say: Say, server: Server, many: int, cancelled: int, tokens: int) -> list[Memory]:
    async with server:
        whole = _Series(server, say, tokens, leave_after=None)
        left = _Series(server, say, tokens=1000, leave_after=3)
        return [await whole.run("requests", many), await left.run("cancelled requests", cancelled)]


def _echo(run: str, token_s: float, rows: int) -> Server:
    """Our server on the engine without weights; see programs/paced_echo.py."""
    command = [*_program("paced_echo"), f"{token_s}", *_OPTIONS, "--max-concurrency", f"{rows}"]
    return Server(OURS_ECHO, command, _log(run, "echo"), "/healthz")


def _model(weights: Path) -> Server:
    command = [sys.executable, "-m", "inference_server", "--model", str(weights), *_OPTIONS]
    return Server("ours, SmolLM2", command, _log("memory", "model"), "/healthz")


def _bare(token_s: float) -> Server:
    command = [*_program("bare_sse"), "--port", "{port}", "--token-seconds", f"{token_s}"]
    return Server(BARE, command, _log("streams", "bare"), "/healthz")


_OPTIONS: Sequence[str] = (
    *("--host", "127.0.0.1", "--port", "{port}", "--served-model-name", "smollm2"),
    *("--log-level", "warning", "--adapters", str(FOLDER / "no-adapters")),
)


def _program(name: str) -> list[str]:
    return [sys.executable, "-m", f"tools.bench_inference.programs.{name}"]


def _log(run: str, name: str) -> Path:
    return FOLDER / "logs" / f"{run}-{name}.log"
