"""Measure servers side by side: each run starts every server once, and asks all of them the same."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from typing_extensions import override

from tools.bench_inference.batched import decode
from tools.bench_inference.load import Load, drive
from tools.bench_inference.options import Options
from tools.bench_inference.peers import LLAMA_BATCHED, Field, Peer
from tools.bench_inference.prompts import prompts
from tools.bench_inference.quiet import DISTURBED_CORES, Clock, Share, wait_quiet
from tools.bench_inference.result import Machine, Place, Sample, Sides
from tools.bench_inference.server import Server

Say = Callable[[str], None]
_WARM_UP = 4
_WARM_UP_TOKENS = 8


@dataclass
class Measuring:
    """All runs of one field of servers.

    Attributes:
        options: how much.
        servers: that are measured.
        say: is told what is done.
    """

    options: Options
    servers: Field
    say: Say
    samples: dict[Place, list[Sample]] = field(default_factory=dict)

    async def run(self) -> Sides:
        """Measure every server in every run.

        Raises:
            BenchError: a server did not start, failed a request or was too slow.
        """
        for peer in self.servers.peers:  # fixes the order of the table: the runs begin elsewhere each
            for clients in self.servers.clients:
                self.samples[peer.name, clients] = []
        for run in range(1, self.options.runs + 1):
            await self.one_run(run)
        return Sides(Machine.here(), self.options.max_tokens, self.samples)

    async def one_run(self, run: int) -> None:
        """Measure every server once, in an order of this run's own."""
        order = list(self.servers.peers)
        random.Random(self.options.seed + run).shuffle(order)  # noqa: S311 - an order, not a secret
        for peer in order:
            async with peer.server(f"run{run}") as server:
                await self._warm_up(peer, server)
                for clients in self.servers.clients:
                    await self._measure(peer, server, clients, run)

    async def _warm_up(self, peer: Peer, server: Server) -> None:
        texts = prompts(_WARM_UP, seed=0)
        await drive(server.port, peer.path, peer.body, texts, clients=_WARM_UP, max_tokens=_WARM_UP_TOKENS)

    async def _measure(self, peer: Peer, server: Server, clients: int, run: int) -> None:
        async def once(texts: list[str]) -> Sample:
            before = Clock.now(server.pid)
            tokens = self.options.max_tokens
            load = await drive(server.port, peer.path, peer.body, texts, clients=clients, max_tokens=tokens)
            return Sample(run, load, before.until(Clock.now(server.pid)))

        await self.calmest(peer.name, clients, run, once)

    async def calmest(
        self, name: str, clients: int, run: int, once: Callable[[list[str]], Awaitable[Sample]]
    ) -> None:
        """Measure until others leave the machine alone meanwhile, or often enough; keep the calmest.

        The prompts are others in each run and each try, so that no server can remember an answer. Their
        lengths are those of the run, the same for every server.
        """
        made: list[Sample] = []
        for attempt in range(self.options.tries):
            await wait_quiet(self.options.quiet_s, self.say)
            seed = self.options.seed + 1000 * run + clients
            made.append(await once(prompts(self.options.requests[clients], seed, attempt)))
            self.tell(name, clients, made[-1])
            if made[-1].share.others <= DISTURBED_CORES:
                break
        best = min(made, key=lambda sample: sample.share.others)
        self.samples.setdefault((name, clients), []).append(best)

    def tell(self, name: str, clients: int, sample: Sample) -> None:
        """Say what was measured."""
        load, share = sample.load, sample.share
        self.say(
            f"run {sample.run}/{self.options.runs}: {name}, {clients} at once: {load.tokens_per_s:.1f}"
            f" tokens/s, first text p95 {load.first_p95_s:.2f} s (others used {share.others:.2f} cores)"
        )


@dataclass
class LlamaMeasuring(Measuring):
    """The same for llama.cpp, with the library's own batched decode as one more row of the most clients.

    Attributes:
        gguf: the model's file.
    """

    gguf: Path = Path()

    @override
    async def one_run(self, run: int) -> None:
        await super().one_run(run)
        clients = max(self.servers.clients)

        async def once(texts: list[str]) -> Sample:
            before = Clock.now()
            done = await asyncio.to_thread(decode, self.gguf, texts, clients, self.options.max_tokens)
            whole = before.until(Clock.now())
            server = done.cpu_s / whole.seconds  # it has ended: /proc holds no figures of it any more
            share = Share(server, whole.client, max(whole.others - server, 0.0), whole.seconds)
            return Sample(run, Load(len(texts), done.tokens, done.seconds, (0.0,), early=0), share)

        await self.calmest(LLAMA_BATCHED, clients, run, once)
