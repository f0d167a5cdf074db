"""Read an adapter's tensors into changes of the model's modules. What does not fit is refused by its name.

peft passes over keys that it does not know with a warning, and the output stays the base model's: so every
key, shape and value is checked here before anything is put on the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from inference_server.errors import AdapterRefused
from inference_server.transformers_engine.adapter_changes import Change, EmbeddingLowRank, LowRank
from inference_server.transformers_engine.adapter_config import TENSORS_FILE, LoraSettings, read_settings
from inference_server.transformers_engine.adapter_modules import dora, fan, is_packed, place, replaced

_KEY_PREFIX = "base_model.model."  # peft's, before the module's path in the base model
_PARTS = {
    "lora_A.weight": "a",
    "lora_B.weight": "b",
    "lora_B.bias": "bias",
    "lora_embedding_A": "embedding_a",
    "lora_embedding_B": "embedding_b",
    "lora_magnitude_vector.weight": "magnitude",
    "lora_magnitude_vector": "magnitude",  # as peft wrote it before 0.12
}
_PAIR, _EMBEDDING_PAIR = {"a", "b"}, {"embedding_a", "embedding_b"}


@dataclass(frozen=True)
class ReadAdapter:
    """An adapter in memory. `changes` by module path; `whole` says why it can be no part of a sum, or ''."""

    name: str
    settings: LoraSettings
    changes: Mapping[str, Change]
    whole: str


class AdapterReader:
    """Reads adapters for one model.

    Args:
        model: the loaded base model; it is only looked at.
        served_as: the model's name in sentences.
    """

    def __init__(self, model: Any, served_as: str) -> None:  # noqa: ANN401 - the library has no types
        self._modules: dict[str, nn.Module] = dict(model.named_modules())
        self._dtype: torch.dtype = model.dtype
        self._served_as = served_as
        self._layers = getattr(model.config.get_text_config(), "num_hidden_layers", None)

    def read(self, name: str, folder: Path, room: Callable[[torch.device], int]) -> ReadAdapter:
        """Read the adapter in `folder`. `room` tells how many bytes a device has left.

        Raises:
            AdapterRefused: naming the tensor, the cause and the next action.
        """
        settings = read_settings(name, folder)
        self._require_room(name, folder, room)
        try:
            with safe_open(folder / TENSORS_FILE, framework="pt") as file:
                found, saved = self._sorted(name, settings, dict.fromkeys(file.keys(), file.get_tensor))
                changes = {path: self._change(name, settings, path, of) for path, of in found.items()}
                changes |= {path: self._replaced(name, path, of) for path, of in saved.items()}
        except (SafetensorError, OSError) as error:
            raise AdapterRefused(
                f"adapter {name!r}: {TENSORS_FILE} cannot be read ({error}); build the adapter's image again"
            ) from None
        if not changes:
            raise AdapterRefused(f"adapter {name!r} has no tensors; save it again after training")
        return ReadAdapter(name, settings, changes, _whole(settings, found))

    def missing(self, adapter: ReadAdapter) -> int:
        """Return how many modules the adapter's config names without any tensor for them."""
        from peft import LoraConfig
        from peft.tuners.tuners_utils import check_target_module_exists

        targets = adapter.settings.target_modules
        if not targets or targets == "all-linear" or adapter.settings.narrowed:
            return 0
        config = LoraConfig(target_modules=targets if isinstance(targets, str) else list(targets))
        return sum(
            path not in adapter.changes
            and fan(module) is not None
            and bool(check_target_module_exists(config, path))
            for path, module in self._modules.items()
        )

    def _require_room(self, name: str, folder: Path, room: Callable[[torch.device], int]) -> None:
        needed = (folder / TENSORS_FILE).stat().st_size
        left = room(next(iter(self._modules[""].parameters())).device)
        if needed > left:
            raise AdapterRefused(
                f"adapter {name!r} has {needed / 2**20:.0f} MiB, {left / 2**20:.0f} MiB of memory are left; "
                "remove another adapter, or choose an instanceType with more memory"
            )

    def _sorted(
        self, name: str, settings: LoraSettings, keys: Mapping[str, Callable[[str], torch.Tensor]]
    ) -> tuple[dict[str, dict[str, torch.Tensor]], dict[str, dict[str, torch.Tensor]]]:
        """Return the tensors by module and part: those of low-rank changes, and those of whole modules."""
        found: dict[str, dict[str, torch.Tensor]] = {}
        saved: dict[str, dict[str, torch.Tensor]] = {}
        for key, read in keys.items():
            short = key.removeprefix(_KEY_PREFIX)
            tensor = self._finite(name, key, read(key))
            path, part = _split(short)
            if part:
                self._require_module(name, settings, key, path)
                found.setdefault(path, {})[part] = tensor
            elif (owner := short.rpartition(".")[0]) in self._modules and _is_saved(settings, owner):
                saved.setdefault(owner, {})[short.rpartition(".")[2]] = tensor
            else:
                self._require_unchanged(name, settings, key, tensor)
        return found, saved

    def _finite(self, name: str, key: str, tensor: torch.Tensor) -> torch.Tensor:
        if not tensor.is_floating_point():
            raise AdapterRefused(f"adapter {name!r}: tensor {key} is not of floating point; save it again")
        if not bool(torch.isfinite(tensor.float()).all()):
            raise AdapterRefused(
                f"adapter {name!r}: tensor {key} has values that are no numbers or infinite; its training "
                "has diverged: train it again with a smaller learning rate"
            )
        if tensor.dtype != self._dtype and not bool(torch.isfinite(tensor.to(self._dtype)).all()):
            raise AdapterRefused(
                f"adapter {name!r}: tensor {key} has values beyond the range of {self._dtype}, the served "
                "model's type; serve the model with --dtype bfloat16 or float32"
            )
        return tensor

    def _require_module(self, name: str, settings: LoraSettings, key: str, path: str) -> None:
        if path not in self._modules:
            layers = f", {self._layers} layers" if self._layers else ""
            raise AdapterRefused(
                f"adapter {name!r} was trained on {_base(settings)}: it changes {path}, "
                f"which {self._served_as!r} ({type(self._modules['']).__name__}{layers}) does not have "
                f"(tensor {key}); use an adapter of the served model"
            )

    def _require_unchanged(self, name: str, settings: LoraSettings, key: str, tensor: torch.Tensor) -> None:
        """Pass over a copy of the base's own weights, which peft may write beside a changed embedding."""
        short = key.removeprefix(_KEY_PREFIX).replace(".base_layer.", ".")
        path, _, parameter = short.rpartition(".")
        own = getattr(self._modules.get(path), parameter, None) if path in self._modules else None
        if not isinstance(own, torch.Tensor):
            self._require_module(name, settings, key, path)
            raise AdapterRefused(
                f"adapter {name!r}: tensor {key} is none that a LoRA adapter of {self._served_as!r} has; "
                "save the adapter with peft's save_pretrained"
            )
        if own.shape != tensor.shape or not torch.equal(own, tensor.to(own.device, own.dtype)):
            raise AdapterRefused(
                f"adapter {name!r}: tensor {key} replaces weights of the base model (an enlarged vocabulary, "
                "or save_embedding_layers), which is not served; train it with modules_to_save instead"
            )

    def _change(
        self, name: str, settings: LoraSettings, path: str, parts: Mapping[str, torch.Tensor]
    ) -> Change:
        module = self._modules[path]
        sizes = fan(module)
        pair = {part for part in parts if part not in ("bias", "magnitude")}
        if sizes is None or pair != (_EMBEDDING_PAIR if isinstance(module, nn.Embedding) else _PAIR):
            raise AdapterRefused(
                f"adapter {name!r}: on {path}, a {type(module).__name__}, it has {', '.join(sorted(parts))}; "
                "only pairs of LoRA matrices on linear and embedding modules are served: save it again"
            )
        where = place(module, self._dtype)
        # Copies: the file is mapped into memory, and its folder may go.
        embedding = isinstance(module, nn.Embedding)
        a, b = (parts[part].to(**where, copy=True) for part in sorted(pair))
        rank = self._rank(name, settings, path, a, b)
        scale = settings.scaling(path, rank)
        if embedding:
            if "magnitude" in parts or "bias" in parts:
                raise AdapterRefused(
                    f"adapter {name!r}: {path} is an embedding with DoRA or a bias of its own"
                )
            return EmbeddingLowRank(a, b, scale * float(getattr(module, "embed_scale", 1.0)))
        bias = parts.get("bias")
        self._require_length(name, path, "bias", bias, sizes[1])
        low_rank = LowRank(a, b, scale, None if bias is None else bias.to(**where, copy=True))
        if not settings.dora:
            return low_rank
        magnitude = parts.get("magnitude")
        if magnitude is None:
            raise AdapterRefused(f"adapter {name!r} is DoRA, but {path} has no magnitude vector; save it")
        self._require_length(name, path, "magnitude vector", magnitude.flatten(), sizes[1])
        return dora(module, low_rank, magnitude)

    def _rank(self, name: str, settings: LoraSettings, path: str, a: torch.Tensor, b: torch.Tensor) -> int:
        sizes = fan(self._modules[path])
        assert sizes is not None  # noqa: S101 - asked by the caller
        rank = settings.rank_of(path)
        for side, tensor, expected in (("A", a, (rank, sizes[0])), ("B", b, (sizes[1], rank))):
            if tuple(tensor.shape) != expected:
                raise AdapterRefused(
                    f"adapter {name!r} was trained on {_base(settings)}: matrix {side} on "
                    f"{path} is {_shape(tensor.shape)}, and {_shape(expected)} is what rank {rank} in "
                    f"{self._served_as!r} needs; use an adapter of the served model"
                )
        return rank

    @staticmethod
    def _require_length(name: str, path: str, what: str, tensor: torch.Tensor | None, length: int) -> None:
        if tensor is not None and tuple(tensor.shape) != (length,):
            raise AdapterRefused(
                f"adapter {name!r}: the {what} on {path} is {_shape(tensor.shape)} and not {length}; "
                "use an adapter of the served model"
            )

    def _replaced(self, name: str, path: str, parts: Mapping[str, torch.Tensor]) -> Change:
        module = self._modules[path]
        own = dict(module.named_parameters())
        plain = isinstance(module, nn.Linear | nn.Embedding) or "Norm" in type(module).__name__
        if not plain or any("." in key for key in own) or is_packed(module):
            raise AdapterRefused(
                f"adapter {name!r} replaces {path} (modules_to_save), a {type(module).__name__}; only "
                "linear, embedding and norm modules that are not quantized are served: train it without"
            )
        shapes = {key: tuple(parameter.shape) for key, parameter in own.items()}
        if {key: tuple(tensor.shape) for key, tensor in parts.items()} != shapes:
            raise AdapterRefused(
                f"adapter {name!r} replaces {path} (modules_to_save) by tensors of other shapes than "
                f"{self._served_as!r} has; use an adapter of the served model, with its vocabulary"
            )
        return replaced(module, parts)


def _split(key: str) -> tuple[str, str]:
    """Split a key into the module's path and what the tensor is; ('', '') where it is no part of a LoRA."""
    for ending, part in _PARTS.items():
        if key.endswith(f".{ending}"):
            return key.removesuffix(f".{ending}"), part
    return "", ""


def _is_saved(settings: LoraSettings, path: str) -> bool:
    return any(path == name or path.endswith(f".{name}") for name in settings.saved_modules)


def _whole(settings: LoraSettings, found: Mapping[str, Mapping[str, torch.Tensor]]) -> str:
    """Say what of an adapter a sum of low-rank matrices would drop."""
    if settings.dora:
        return "DoRA (use_dora)"
    if settings.saved_modules:
        return "whole modules beside the low-rank ones (modules_to_save)"
    if any("bias" in parts for parts in found.values()):
        return "biases of its own (lora_bias)"
    if any("embedding_a" in parts for parts in found.values()):
        return "changes of the embedding"
    return ""


def _base(settings: LoraSettings) -> str:
    return repr(settings.base) if settings.base else "an unnamed model"


def _shape(shape: tuple[int, ...] | torch.Size) -> str:
    return " x ".join(map(str, shape))
