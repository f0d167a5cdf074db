"""The servers that are measured: how each is started, and how it is asked for the same."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tools.bench_inference.answers import Body, Json
from tools.bench_inference.paths import FOLDER
from tools.bench_inference.server import Server
from tools.bench_inference.supplies import Supplies

CHAT, COMPLETIONS = "/chat", "/v1/chat/completions"


@dataclass(frozen=True)
class Peer:
    """One of the servers.

    Attributes:
        name: in tables.
        command: program and arguments, "{port}" where its port belongs.
        path: of the route that is measured.
        body: writes a request.
        ready: route that answers 200 when it is ready.
        streams: whether it sends text as it is made. One that does not has its first text at the end.
    """

    name: str
    command: Sequence[str]
    path: str
    body: Body
    ready: str
    streams: bool = True

    def server(self, run: str) -> Server:
        """Prepare its process; `run` tells its log from others."""
        return Server(self.name, self.command, FOLDER / "logs" / f"{run}-{self.name}.log", self.ready)


@dataclass(frozen=True)
class Field:
    """Servers that are measured side by side.

    Attributes:
        peers: in the order of the table.
        clients: that send at once, one figure each.
    """

    peers: Sequence[Peer]
    clients: Sequence[int] = field(default=(1, 4, 16))


OURS_16, OURS_32 = "ours, bfloat16", "ours, float32"
V030, LIBRARY = "KAITO v0.3.0's way", "transformers serve"
OURS_LLAMA, LLAMA_SERVER, LLAMA_BATCHED = "ours, llama.cpp", "llama_cpp.server", "llama.cpp without HTTP"


def torch_field(supplies: Supplies) -> Field:
    """The servers of PyTorch models. The library gets bfloat16 as ours and v0.3.0's do.

    Left alone it takes nearly all of the machine's memory for keys and values: 14 of 24 GiB.
    """
    weights = supplies.weights
    return Field(
        (
            _ours(OURS_16, weights, "--engine", "transformers", "--dtype", "bfloat16"),
            _ours(OURS_32, weights, "--engine", "transformers", "--dtype", "float32"),
            Peer(
                V030,
                _module("tools.bench_inference.programs.v030", "--model", str(weights), "--port", "{port}"),
                CHAT,
                _v030_body,
                "/healthz",
                streams=False,
            ),
            Peer(
                LIBRARY,
                [
                    str(supplies.peers / "transformers"),
                    *("serve", str(weights), "--continuous-batching", "--dtype", "bfloat16"),
                    *("--cb-max-memory-percent", "0.2"),
                    *("--host", "127.0.0.1", "--port", "{port}"),
                ],
                COMPLETIONS,
                _greedy(str(weights)),
                "/health",
            ),
        )
    )


def llama_field(supplies: Supplies, cores: int) -> Field:
    """The servers of GGUF models.

    llama_cpp.server gets its best settings, not its defaults: all cores, no logits that nobody asked for, and
    no ending of one client's stream when another comes.
    """
    best = ("--n_threads", f"{cores}", "--n_threads_batch", f"{cores}", "--n_ctx", "8192")
    return Field(
        (
            _ours(OURS_LLAMA, supplies.gguf.parent, "--engine", "llama"),
            Peer(
                LLAMA_SERVER,
                [
                    *(
                        str(supplies.peers / "python"),
                        "-m",
                        "llama_cpp.server",
                        "--model",
                        str(supplies.gguf),
                    ),
                    *best,
                    *("--logits_all", "false", "--interrupt_requests", "false", "--verbose", "false"),
                    *("--host", "127.0.0.1", "--port", "{port}"),
                ],
                COMPLETIONS,
                _greedy("smollm2"),
                "/v1/models",
            ),
        ),
        (1, 8),
    )


def _ours(name: str, model: Path, *more: str) -> Peer:
    command = ["--model", str(model), "--served-model-name", "smollm2", "--host", "127.0.0.1"]
    nothing = str(FOLDER / "no-adapters")
    command += ["--port", "{port}", "--adapters", nothing, "--log-level", "warning", *more]
    return Peer(name, _module("inference_server", *command), COMPLETIONS, ours_body, "/healthz")


def _module(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", name, *arguments]


def ours_body(text: str, tokens: int) -> Json:
    """Ask our server for at most `tokens` tokens, counted by itself.

    Not for `ignore_eos`: no peer can keep its model from ending, and it takes a row off the fast path.
    """
    return {**_greedy("smollm2")(text, tokens), "stream_options": {"include_usage": True}}


def endless_body(text: str, tokens: int) -> Json:
    """Ask our server for exactly `tokens` tokens, whatever the text."""
    return {**ours_body(text, tokens), "ignore_eos": True}


def _v030_body(text: str, tokens: int) -> Json:
    return {"messages": _messages(text), "generate_kwargs": {"max_new_tokens": tokens}}


def _greedy(model: str) -> Body:
    def body(text: str, tokens: int) -> Json:
        return {
            "model": model,
            "messages": _messages(text),
            "max_tokens": tokens,
            "temperature": 0,
            "stream": True,
        }

    return body


def _messages(text: str) -> list[Json]:
    return [{"role": "user", "content": text}]
