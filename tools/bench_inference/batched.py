"""Run llama.cpp's own batched decode in a process of its own; see programs/llama_batched.py."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.bench.errors import BenchError
from tools.bench_inference.paths import CHECKOUT

_PROGRAM = "tools.bench_inference.programs.llama_batched"
_LIMIT_S = 900.0


@dataclass(frozen=True)
class Decoded:
    """New tokens, the seconds that they took, and the CPU of the whole process."""

    tokens: int
    seconds: float
    cpu_s: float


def decode(gguf: Path, texts: Sequence[str], streams: int, max_tokens: int) -> Decoded:
    """Answer the prompts, `streams` at a time.

    Raises:
        BenchError: the program failed or took too long.
    """
    threads = len(os.sched_getaffinity(0))
    command = [sys.executable, "-m", _PROGRAM, "--model", str(gguf), "--streams", f"{streams}"]
    command += ["--threads", f"{threads}", "--max-tokens", f"{max_tokens}"]
    try:
        done = subprocess.run(
            command,
            cwd=CHECKOUT,
            input=json.dumps(list(texts)),
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BenchError(f"{_PROGRAM} was not done after {_LIMIT_S:.0f} s") from None
    if done.returncode:
        raise BenchError(f"{_PROGRAM} failed with code {done.returncode}:\n{done.stderr[-1500:]}")
    return Decoded(**json.loads(done.stdout.splitlines()[-1]))
