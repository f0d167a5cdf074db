"""Which engine serves a model: decided by file names, before any library is imported."""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from inference_server.llama_engine.files import is_gguf_folder
from inference_server.options import ServerOptions

Kind = Literal["transformers", "llama", "echo"]

_STATE = "state.json"  # the list of adapters that inference_server.adapter_sync writes
_SIDECAR_S = 10.0  # it starts before the server, and writes its list before it pulls anything
_LOOK_S = 0.2


def choose_engine(
    options: ServerOptions, *, has_library: bool, has_gpu: bool, adapters: bool
) -> tuple[Kind, str]:
    """Choose the engine, and say why where a person would ask.

    Args:
        options: what the server was told.
        has_library: llama-cpp-python can be imported.
        has_gpu: there is a GPU to use.
        adapters: adapters were asked for, which llama.cpp's engine does not take.

    Returns:
        The engine, and a sentence or ''.
    """
    if options.engine != "auto":
        return options.engine, _note_on_llama(options) if options.engine == "llama" else ""
    names = [path.name for path in options.model.iterdir()] if options.model.is_dir() else []
    if not is_gguf_folder(names):
        return "transformers", ""
    hindrances = {
        "there is a GPU, and the llama.cpp engine runs on CPUs": has_gpu,
        "it is divided among processes": options.world_size > 1,
        "adapters were asked for, which the llama.cpp engine does not take": adapters,
        "llama-cpp-python is not installed": not has_library,
    }
    why = next((reason for reason, holds in hindrances.items() if holds), "")
    if why:
        return "transformers", f"transformers unpacks this GGUF model in memory, because {why}"
    return "llama", _note_on_llama(options)


def engine_for(options: ServerOptions) -> tuple[Kind, str]:
    """Choose the engine after a look at this machine; waits some seconds for the list of adapters."""
    has_library = importlib.util.find_spec("llama_cpp") is not None
    names = [path.name for path in options.model.iterdir()] if options.model.is_dir() else []
    adapters = (
        options.engine == "auto" and has_library and is_gguf_folder(names) and asks_for_adapters(options)
    )
    return choose_engine(options, has_library=has_library, has_gpu=_has_gpu(options), adapters=adapters)


def asks_for_adapters(
    options: ServerOptions, wait: Callable[[float], None] = time.sleep, patience_s: float = _SIDECAR_S
) -> bool:
    """Say whether adapters were asked for: a strength, a folder of one, or an entry of the sidecar's list.

    Args:
        options: what the server was told.
        wait: sleeps so many seconds.
        patience_s: how long the sidecar's list may take. One that never comes asks for nothing.
    """
    if options.adapter_strengths or _has_adapter_folder(options.adapters):
        return True
    if options.live_adapters is None:
        return False
    state = options.live_adapters / _STATE
    for _ in range(round(patience_s / _LOOK_S)):
        if state.is_file():
            break
        wait(_LOOK_S)
    return _lists_adapters(state)


def _lists_adapters(state: Path) -> bool:
    try:
        content = json.loads(state.read_text())
    except (OSError, ValueError):
        return False
    return isinstance(content, Mapping) and bool(content.get("adapters"))


def _has_adapter_folder(folder: Path) -> bool:
    return any(folder.glob("*/adapter_config.json"))


def _has_gpu(options: ServerOptions) -> bool:
    """Say whether there is an NVIDIA GPU to use. torch, which knows more, takes seconds to import."""
    if options.simulated_gpus:
        return False
    return options.gpus > 0 or any(Path("/dev").glob("nvidia[0-9]*"))


def _note_on_llama(options: ServerOptions) -> str:
    if options.quantization != "none":
        return "the llama.cpp engine keeps the model as its GGUF file has it, whatever quantization says"
    return ""
