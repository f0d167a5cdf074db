"""A folder of weights to a model and a tokenizer. The libraries are imported only when a load begins.

A weights folder holds config.json, *.safetensors (with model.safetensors.index.json where there are several),
tokenizer.json or the files of a slow tokenizer, tokenizer_config.json, and, if the model has them,
generation_config.json and chat_template.jinja.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inference_server import cpu
from inference_server.errors import ModelTooLarge, ProcessError, WeightsFormat, WeightsUntrusted
from inference_server.gpus import find_gpus

if TYPE_CHECKING:
    from inference_server.options import Dtype, ServerOptions

_log = logging.getLogger(__name__)
_INDEX = "model.safetensors.index.json"
_PICKLES = ("*.bin", "*.pth", "*.pt", "*.ckpt")
_FIRST_GPU_WITH_BFLOAT16 = (8, 0)  # compute capability; older ones emulate it, slowly
_NEXT_ACTION = "use the safetensors form of the model, or convert it"


@dataclass(frozen=True)
class Loaded:
    """A model in memory, ready to run, and its tokenizer; both are the library's objects."""

    model: Any
    tokenizer: Any


def check_folder(folder: Path, *, allow_pickled: bool) -> None:
    """Look whether `folder` can be loaded, without loading it.

    Raises:
        WeightsFormat: what is missing or of the wrong kind, and what to do.
    """
    if not folder.is_dir():
        raise WeightsFormat(f"there is no folder {folder}; mount the weights there or set --model")
    names = sorted(path.name for path in folder.iterdir())
    pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    tensors = [
        name for name in names if name.endswith(".safetensors") and not name.startswith("consolidated")
    ]
    if not tensors and not (allow_pickled and "pytorch_model.bin" in pickles):
        raise WeightsFormat(_nothing_loadable(folder, names, pickles))
    if "config.json" not in names:
        raise WeightsFormat(f"{folder} has no config.json, which says what model it is; {_NEXT_ACTION}")
    missing = _missing_shards(folder)
    if missing:
        raise WeightsFormat(
            f"{folder} lacks {len(missing)} of the files that {_INDEX} lists, {missing[0]} among them; "
            "the copy is incomplete: make it again"
        )


def choose_dtype(requested: Dtype, capability: tuple[int, int] | None, cpuinfo: str) -> Dtype:
    """Resolve `auto` for a GPU of compute `capability`, or for the CPU of /proc/cpuinfo where it is None.

    GPUs from 8.0 on: bfloat16, below: float16. CPUs with bfloat16 instructions: bfloat16, else float32.
    """
    if requested != "auto":
        return requested
    if capability is not None:
        return "bfloat16" if capability >= _FIRST_GPU_WITH_BFLOAT16 else "float16"
    return "bfloat16" if cpu.has_bfloat16(cpuinfo) else "float32"


def load_weights(options: ServerOptions) -> Loaded:
    """Load the folder `options.model` onto the GPUs, or the CPU where there is none. Never asks a network.

    Raises:
        GpuUnusable: there are fewer GPUs than the options say.
        WeightsFormat: the folder cannot be loaded.
        WeightsUntrusted: it would have to run code that lies in it, and may not.
        ModelTooLarge: it does not fit the GPU's memory.
    """
    import torch
    import transformers

    _quieten()
    gpus = find_gpus(options)
    capability = torch.cuda.get_device_capability(0) if gpus else None
    # A type that was asked for a GPU says nothing about the CPU that takes its place.
    requested = "auto" if options.simulated_gpus else options.dtype
    dtype = choose_dtype(requested, capability, cpu.read_text("/proc/cpuinfo"))
    if not gpus:
        torch.set_num_threads(options.cpu_threads or cpu.usable_cores())
    common = {"local_files_only": True, "trust_remote_code": options.trust_remote_code}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(options.model, **common)
        model, info = transformers.AutoModelForCausalLM.from_pretrained(
            options.model,
            dtype=getattr(torch, dtype),
            device_map=_device_map(gpus),
            use_safetensors=None if options.allow_pickled_weights else True,
            output_loading_info=True,
            **common,
        )
    except torch.cuda.OutOfMemoryError as error:
        raise ModelTooLarge(_too_large(options.model, dtype)) from error
    except Exception as error:
        raise _explain(error, options.model) from error
    _require_complete(options.model, info)
    _log.info("weights loaded", extra={"dtype": dtype, "gpus": gpus, "threads": torch.get_num_threads()})
    return Loaded(model.eval(), tokenizer)


def _nothing_loadable(folder: Path, names: list[str], pickles: list[str]) -> str:
    if pickles:
        found = "pickled weights, which can run code when they are read"
        names = pickles
    elif any(name.startswith("consolidated") for name in names):
        found = "only consolidated files, the form of the model's makers"
        names = [name for name in names if name.startswith("consolidated")]
    elif not names:
        return (
            f"{folder} is empty; the copy or the download into it did not happen: look at the init containers"
        )
    else:
        found = "no .safetensors"
    listed = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return f"{folder} holds {found} ({listed}); {_NEXT_ACTION}"


def _missing_shards(folder: Path) -> list[str]:
    index = folder / _INDEX
    if not index.is_file():
        return []
    try:
        shards = sorted(set(json.loads(index.read_text())["weight_map"].values()))
    except (ValueError, KeyError, AttributeError) as error:
        raise WeightsFormat(
            f"{index} cannot be read ({error!r}); the copy is broken: make it again"
        ) from None
    return [name for name in shards if not (folder / name).is_file()]


def _device_map(gpus: int) -> dict[str, int] | str | None:
    """Place the model: on the one GPU, spread over several, or in the CPU's memory."""
    if gpus == 0:
        return None
    return {"": 0} if gpus == 1 else "auto"


def _explain(error: Exception, folder: Path) -> ProcessError:
    """Turn what the library raised while loading into one of ours."""
    text = " ".join(str(error).split())
    if "trust_remote_code" in text:
        return WeightsUntrusted(
            f"the model in {folder} brings Python code of its own and would run it; if you trust its makers, "
            "set inference.preset.presetOptions.trustRemoteCode: true (flag --trust-remote-code)"
        )
    return WeightsFormat(
        f"{folder} cannot be loaded: {type(error).__name__}: {text[:600]}; "
        "compare it with the model's original files"
    )


def _require_complete(folder: Path, info: Mapping[str, Collection[str]]) -> None:
    """Refuse a model of which tensors are missing: the library fills them with random numbers."""
    missing = sorted(info["missing_keys"])
    if missing:
        raise WeightsFormat(
            f"{folder} lacks {len(missing)} tensors that its config.json asks for, {missing[0]} among them; "
            "config and weights do not belong together, or files are missing"
        )


def _too_large(folder: Path, dtype: str) -> str:
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors")) / 1024**3
    return (
        f"the weights ({size:.1f} GiB on disk) do not fit the GPU's memory as {dtype}; "
        "choose an instanceType with more GPU memory or more GPUs"
    )


def _quieten() -> None:
    """Hand the library's messages to our log, and switch its progress bars off."""
    import transformers

    transformers.logging.disable_default_handler()
    transformers.logging.enable_propagation()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
