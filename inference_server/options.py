"""ServerOptions: every flag and environment variable of the server, read once."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NoReturn, get_args

from typing_extensions import override

from inference_server.errors import OptionsInvalid
from inference_server.termination import TERMINATION_LOG

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
EngineKind = Literal["auto", "transformers", "llama", "echo"]
Quantization = Literal["none", "4bit", "8bit"]
LogLevel = Literal["debug", "info", "warning", "error"]

_ROWS_ON_CPU = 16
_ROWS_ON_GPUS = 64
STRENGTHS_VARIABLE = "KAITO_ADAPTER_STRENGTHS"
SIMULATED_VARIABLE = "KAITO_SIMULATED_GPU"


@dataclass(frozen=True)
class ServerOptions:
    """What the server was told. Bytes, seconds and tokens as the names say."""

    model: Path = Path("/mnt/weights")
    served_model_name: str = ""  # empty: the name of the weights folder
    workspace_name: str = ""  # empty: the served model's name
    host: str = ""  # empty: all addresses, IPv6 and IPv4
    port: int = 5000
    engine: EngineKind = "auto"
    dtype: Dtype = "auto"
    quantization: Quantization = "none"
    gpus: int = 0  # how many the process was given; 0: as many as there are, or none
    simulated_gpus: bool = False  # what it was given does not exist: a test of all but the GPU
    adapters: Path = Path("/mnt/adapter")
    adapter_strengths: Mapping[str, float] = field(default_factory=dict)
    trust_remote_code: bool = False
    allow_pickled_weights: bool = False
    max_model_len: int | None = None  # tokens; None: what the model's config says
    max_concurrency: int = 0  # rows that are generated together; 0: 16 on a CPU, 64 on GPUs
    max_queue: int = 128  # requests that wait beside those that run
    request_timeout: float = 600.0  # seconds, waiting included
    api_keys: Path | None = None  # a folder; each file in it holds one key
    live_adapters: Path | None = None  # a folder that a sidecar fills; None: only `adapters`
    expected_load_seconds: float | None = None  # what the operator's plan says; /healthz tells it
    max_body_bytes: int = 1024 * 1024
    drain_seconds: float = 25.0
    cpu_threads: int = 0  # 0: as many as this process may use
    termination_log: Path = TERMINATION_LOG
    log_level: LogLevel = "info"
    rank: int = 0  # this process's number in its group, as torchrun says
    local_rank: int = 0  # the same among the processes of this pod
    world_size: int = 1  # processes in the group

    @property
    def model_name(self) -> str:
        """Return the name by which messages and metrics call the model."""
        return self.served_model_name or self.model.name

    @property
    def public_name(self) -> str:
        """Return the name by which clients call the model with its adapters."""
        return self.workspace_name or self.model_name

    @property
    def rows(self) -> int:
        """Return how many rows are generated together."""
        if self.max_concurrency:
            return self.max_concurrency
        return _ROWS_ON_GPUS if self.gpus and not self.simulated_gpus else _ROWS_ON_CPU


def parse_options(arguments: Sequence[str], environment: Mapping[str, str]) -> ServerOptions:
    """Read flags and environment into ServerOptions.

    Raises:
        OptionsInvalid: an unknown flag, a value out of range, or unreadable adapter strengths.
    """
    values = vars(_parser().parse_args(list(arguments)))
    strengths = parse_strengths(environment.get(STRENGTHS_VARIABLE, ""))
    simulated = environment.get(SIMULATED_VARIABLE, "") == "true"
    values |= {name: _from_torchrun(environment, name) for name in ("rank", "local_rank", "world_size")}
    return ServerOptions(**values, adapter_strengths=strengths, simulated_gpus=simulated)


def _from_torchrun(environment: Mapping[str, str], name: str) -> int:
    """Read one of the numbers that torchrun sets; without torchrun the process is alone."""
    text = environment.get(name.upper(), "")
    if not text:
        return 1 if name == "world_size" else 0
    if not text.isdigit():
        raise OptionsInvalid(f"{name.upper()} must be a number, as torchrun sets it; it is {text[:64]!r}")
    return int(text)


def parse_strengths(text: str) -> dict[str, float]:
    """Read KAITO_ADAPTER_STRENGTHS: a JSON object from adapter name to a number from 0 to 1.

    Raises:
        OptionsInvalid: anything else.
    """
    if not text.strip():
        return {}
    problem = f"{STRENGTHS_VARIABLE} must be a JSON object of adapter names and numbers from 0 to 1"
    try:
        parsed = json.loads(text)
    except ValueError as error:
        raise OptionsInvalid(f"{problem}; it is not JSON: {error}") from None
    if not isinstance(parsed, dict):
        raise OptionsInvalid(f"{problem}; it is a {type(parsed).__name__}")
    for name, value in parsed.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or not 0 <= value <= 1:
            raise OptionsInvalid(f"{problem}; {name!r} has {value!r}")
    return {name: float(value) for name, value in parsed.items()}


class _Parser(argparse.ArgumentParser):
    """Raises instead of ending the process, so that main() can write the termination log."""

    @override
    def error(self, message: str) -> NoReturn:
        raise OptionsInvalid(f"{message}; see `python -m inference_server --help`")


def _parser() -> argparse.ArgumentParser:
    default = ServerOptions()
    parser = _Parser(prog="inference_server", description="Serve one language model.", allow_abbrev=False)
    add = parser.add_argument
    add("--model", type=Path, default=default.model, help="weights folder (default %(default)s)")
    add("--served-model-name", default="", help="name in messages and metrics (default: the folder's name)")
    add("--workspace-name", default="", help="name that clients give as model (default: the served name)")
    add("--host", default="", help="address to listen on (default: all)")
    add("--port", type=_whole(0, 65535), default=default.port, help="default %(default)s; 0 takes a free one")
    add("--engine", choices=get_args(EngineKind), default=default.engine, help="auto: llama for GGUF on CPUs")
    add("--dtype", choices=get_args(Dtype), default=default.dtype, help="type of the weights in memory")
    add("--quantization", choices=get_args(Quantization), default="none", help="compress weights at loading")
    add("--gpus", type=_whole(0, 1024), default=0, help="GPUs that this process was given and must find")
    add("--adapters", type=Path, default=default.adapters, help="folder of adapter folders")
    add("--live-adapters", type=Path, help="folder that inference_server.adapter_sync fills")
    add("--trust-remote-code", action="store_true", help="run Python code that lies beside the weights")
    add(
        "--allow-pickled-weights", action="store_true", help="load pytorch_model.bin where no safetensors are"
    )
    add("--max-model-len", type=_whole(2, 2**31), help="limit the context, in tokens")
    add("--max-concurrency", type=_whole(0, 4096), default=0, help="answers that are generated together")
    add("--request-timeout", type=_seconds, default=default.request_timeout, help="seconds; waiting counts")
    add("--api-keys", type=Path, help="folder of files with one key each; without it nobody needs one")
    add("--max-queue", type=_whole(0, 100_000), default=default.max_queue, help="requests that may wait")
    add("--expected-load-seconds", type=_seconds, help="how long the load should take; /healthz tells it")
    add("--max-body-bytes", type=_whole(1, 2**31), default=default.max_body_bytes, help="largest request")
    add("--drain-seconds", type=_seconds, default=default.drain_seconds, help="time to finish after SIGTERM")
    add("--cpu-threads", type=_whole(0, 4096), default=0, help="0: as many as this process may use")
    add("--termination-log", type=Path, default=default.termination_log, help="written if it exists")
    add("--log-level", choices=get_args(LogLevel), default=default.log_level, help="default %(default)s")
    return parser


class _whole:  # noqa: N801 - reads as a type beside int and Path; argparse prints its name in errors
    """A whole number in a range, both ends included."""

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = low, high
        self.__name__ = f"whole number from {low} to {high}"

    def __call__(self, text: str) -> int:
        value = int(text)
        if not self.low <= value <= self.high:
            raise ValueError(text)
        return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 86_400:
        raise ValueError(text)
    return value


_seconds.__name__ = "number of seconds from 0 to 86400"
