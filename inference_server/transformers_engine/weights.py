"""A folder of weights to a model and a tokenizer. The libraries are imported only when a load begins."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inference_server import cpu
from inference_server.capacity import free_memory
from inference_server.engine import Report
from inference_server.errors import ModelTooLarge, ProcessError, WeightsFormat, WeightsUntrusted
from inference_server.transformers_engine.dtypes import Choice, dtype_on_cpu, dtype_on_gpu, measure_cpu
from inference_server.transformers_engine.folder import WeightFiles, check_folder
from inference_server.transformers_engine.gpus import find_gpus
from inference_server.transformers_engine.mapped import copy_out
from inference_server.transformers_engine.progress import Progress, watch_gguf, watch_library
from inference_server.transformers_engine.quantize import quantization

if TYPE_CHECKING:
    from inference_server.options import ServerOptions

_log = logging.getLogger(__name__)
_DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
_FLOATS = {"F64", "F32", "F16", "BF16"}  # safetensors' names of what is converted to the chosen type
_SAME = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}
_GIB = 1024**3
_CPU_HEADROOM = 256 * 1024**2  # bytes that a process needs beside its weights
_SDPA, _EAGER = "sdpa", "eager"


@dataclass(frozen=True)
class Loaded:
    """A model in memory, ready to run, and its tokenizer; both are the library's objects.

    `notes` are sentences on how it runs.
    """

    model: Any
    tokenizer: Any
    notes: list[str] = field(default_factory=list)


def load_weights(options: ServerOptions, report: Report) -> Loaded:
    """Load the folder `options.model` onto the GPUs, or the CPU where there is none. Never asks a network.

    Progress is reported by bytes that have come to where they stay.

    Raises:
        GpuUnusable: there are fewer GPUs than the options say.
        OptionsInvalid: the quantization that was asked for cannot be had here.
        WeightsFormat: the folder cannot be loaded.
        WeightsUntrusted: it would have to run code that lies in it, and may not.
        ModelTooLarge: it does not fit the memory.
    """
    import torch

    files = check_folder(options.model, allow_pickled=options.allow_pickled_weights)
    _quieten()
    gpus = find_gpus(options)
    if not gpus:
        torch.set_num_threads(options.cpu_threads or cpu.usable_cores())
    load = _Load(options, files, gpus)
    try:
        loaded = load.run(report)
    except ProcessError:
        raise
    except (torch.cuda.OutOfMemoryError, MemoryError) as error:
        raise ModelTooLarge(_too_large(files, load.choice.dtype, "GPU's" if gpus else "node's")) from error
    except Exception as error:
        raise _explain(error, files.folder) from error
    fields = {"dtype": load.choice.dtype, "gpus": gpus, "threads": torch.get_num_threads()}
    _log.info("weights loaded", extra={**fields, "notes": loaded.notes})
    return loaded


class _Load:
    """One load: what is decided before it, and the library's calls."""

    def __init__(self, options: ServerOptions, files: WeightFiles, gpus: int) -> None:
        self._options = options
        self._files = files
        self._gpus = gpus
        self._stored = files.stored()
        self._common: dict[str, Any] = {
            "local_files_only": True,
            "trust_remote_code": options.trust_remote_code,
        }
        if files.form == "gguf":
            self._common["gguf_file"] = files.paths[0].name
        self._config = self._read_config()
        self.choice = self._choose()
        self._notes = [self.choice.note] if self.choice.note else []

    def run(self, report: Report) -> Loaded:
        import transformers

        tokenizer = transformers.AutoTokenizer.from_pretrained(self._files.folder, **self._common)
        extra, note = quantization(self._options, self._files, self.choice.dtype, gpus=self._gpus)
        if note:
            self._notes.append(note)
        if not self._gpus and not extra:
            self._require_room()
        sizes = {name: tensor.bytes for name, tensor in self._stored.items()}
        progress = Progress(report, sum(sizes.values()) or self._files.bytes)
        library = watch_library(progress, sizes, self._mapped(quantized=bool(extra)))
        with library, watch_gguf(progress, is_gguf=self._files.form == "gguf"):
            model, info = self._from_pretrained(extra)
        _require_complete(self._files.folder, info)
        if not self._gpus and self._options.world_size == 1:
            copy_out(model, self._files.paths, cpu.read_text("/proc/self/maps"), progress.add)
        progress.finish()
        return Loaded(model.eval(), tokenizer, self._notes)

    def _read_config(self) -> Any:  # noqa: ANN401 - the library has no types
        import transformers

        try:
            return transformers.AutoConfig.from_pretrained(self._files.folder, **self._common)
        except Exception as error:
            raise _explain(error, self._files.folder) from error

    def _choose(self) -> Choice:
        import torch

        stored = {tensor.dtype for tensor in self._stored.values()} & _FLOATS
        # A type that was asked for a GPU says nothing about the CPU that takes its place.
        requested = "auto" if self._options.simulated_gpus else self._options.dtype
        if self._gpus:
            return dtype_on_gpu(requested, torch.cuda.get_device_capability(0), stored)
        width = int(getattr(self._config.get_text_config(), "hidden_size", 0) or 1024)
        return dtype_on_cpu(
            requested,
            cpu.read_text("/proc/cpuinfo"),
            lambda: measure_cpu(width),
            lambda: self._need("float32") <= free_memory(),
        )

    def _need(self, dtype: str) -> int:
        """Return how many bytes the weights take in memory; without headers nobody knows, so little."""
        return _CPU_HEADROOM + sum(
            tensor.elements * _DTYPE_BYTES[dtype] if tensor.dtype in _FLOATS else tensor.bytes
            for tensor in self._stored.values()
        )

    def _require_room(self) -> None:
        """Refuse before the kernel ends the process without a word."""
        dtype, free = self.choice.dtype, free_memory()
        if (need := self._need(dtype)) > free:
            raise ModelTooLarge(
                f"the weights need {need / _GIB:.1f} GiB of memory as {dtype}, and {free / _GIB:.1f} GiB are "
                "free; choose an instanceType with more memory, or a smaller model"
            )

    def _mapped(self, *, quantized: bool) -> set[str]:
        """Return which tensors the library leaves in the file: on a CPU those whose type does not change."""
        if self._gpus or quantized or self._options.world_size > 1:
            return set()
        same = _SAME[self.choice.dtype]
        return {name for name, tensor in self._stored.items() if tensor.dtype == same}

    def _from_pretrained(self, extra: Mapping[str, Any]) -> tuple[Any, Mapping[str, Collection[str]]]:
        try:
            return self._call(extra, _SDPA)
        except ValueError as error:
            if "scaled_dot_product_attention" not in str(error):
                raise
        self._notes.append("this model has no SDPA attention: it runs with the plain one, which is slower")
        return self._call(extra, _EAGER)

    def _call(self, extra: Mapping[str, Any], attention: str) -> tuple[Any, Mapping[str, Collection[str]]]:
        import torch
        import transformers

        options = self._options
        model, info = transformers.AutoModelForCausalLM.from_pretrained(
            self._files.folder,
            dtype=getattr(torch, self.choice.dtype),
            attn_implementation=attention,
            use_safetensors=None if options.allow_pickled_weights else True,
            output_loading_info=True,
            **_placement(options, self._gpus),
            **self._common,
            **extra,
        )
        return model, info


def _placement(options: ServerOptions, gpus: int) -> dict[str, Any]:
    """Divide the model among the processes of a group, or place it on what this process has."""
    if options.world_size == 1:
        return {"device_map": _device_map(gpus)}
    from transformers import DistributedConfig

    return {"distributed_config": DistributedConfig(tp_plan="auto")}


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


def _too_large(files: WeightFiles, dtype: str, whose: str) -> str:
    return (
        f"the weights ({files.bytes / _GIB:.1f} GiB on disk) do not fit the {whose} memory as {dtype}; "
        "choose an instanceType with more GPU memory or more GPUs"
    )


def _quieten() -> None:
    """Hand the library's messages to our log, and switch its progress bars off."""
    import transformers

    transformers.logging.disable_default_handler()
    transformers.logging.enable_propagation()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    # On a CPU it says at every load that a faster kernel could come from the network.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
