"""LoRA adapters: the folders under /mnt/adapter become one weighted combination on the model (v0.3.0).

The combination is peft's `cat`: it stacks the adapters' low-rank matrices, scaled by strength, so the result
is exactly the weighted sum of what they add. `svd`, v0.3.0's default, computes the same sum and then
approximates it by decomposing every target matrix: minutes at each start, for less. `linear` is no weighted
sum with more than one adapter: it mixes the factors, and cross terms between adapters appear. With one
adapter peft always takes `linear`, which is then exact: the adapter times its strength.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inference_server.errors import AdapterRefused

if TYPE_CHECKING:
    from peft import LoraModel, PeftModel
    from torch import nn
    from transformers import PreTrainedModel

_log = logging.getLogger(__name__)
_CONFIG = "adapter_config.json"
_TENSORS = "adapter_model.safetensors"
_COMBINED = "combined_adapter"
_KEY_PREFIX = "base_model.model."  # peft's, before the module's path in the base model
_DEFAULT_STRENGTH = 1.0
# Settings under which peft's combination would silently drop a part of the adapter, with what they mean.
_NOT_COMBINABLE = {
    "use_dora": "DoRA",
    "lora_bias": "biases of its own",
    "modules_to_save": "whole modules beside the low-rank ones",
    "trainable_token_indices": "trained tokens",
    "target_parameters": "parameters outside of modules",
    "layer_replication": "replicated layers",
}


@dataclass(frozen=True)
class Adapter:
    """One adapter folder. `base` is the model it says it was trained on: a hub name, or some path."""

    name: str
    path: Path
    strength: float
    base: str


def find_adapters(folder: Path, strengths: Mapping[str, float]) -> list[Adapter]:
    """List the adapter folders in `folder` by name; none where it does not exist.

    Raises:
        AdapterRefused: a folder without its two files, an adapter of another kind than LoRA, or a strength
            for an adapter that is not there.
    """
    children = sorted(folder.iterdir()) if folder.is_dir() else []
    adapters = [
        _read(child, strengths.get(child.name, _DEFAULT_STRENGTH))
        for child in children
        if child.is_dir() and not child.name.startswith(".") and child.name != "lost+found"
    ]
    absent = sorted(set(strengths) - {adapter.name for adapter in adapters})
    if absent:
        found = ", ".join(adapter.name for adapter in adapters) or "none"
        raise AdapterRefused(
            f"there is a strength for adapter {absent[0]!r}, but no folder {folder / absent[0]} "
            f"(found: {found}); its image has no files under /data, or its copy failed: "
            "look at the init containers"
        )
    return adapters


def apply_adapters(model: PreTrainedModel, adapters: Sequence[Adapter], served_as: str) -> None:
    """Put the weighted combination of `adapters` on `model`, in place.

    Raises:
        AdapterRefused: an adapter's matrices do not fit the model, or they cannot be combined.
    """
    for adapter in adapters:
        _require_same_base(model, adapter, served_as)
    from peft import PeftModel

    # autocast would make float32 of the adapters' weights, and so of every product with them.
    options: dict[str, Any] = {"autocast_adapter_dtype": False, "local_files_only": True}
    first, *rest = adapters
    try:
        wrapped = PeftModel.from_pretrained(model, first.path, adapter_name=first.name, **options)
        for adapter in rest:
            wrapped.load_adapter(adapter.path, adapter_name=adapter.name, **options)
        _combine(wrapped, adapters)
    except (ValueError, TypeError, KeyError, RuntimeError) as error:
        names = ", ".join(adapter.name for adapter in adapters)
        text = " ".join(str(error).split())
        raise AdapterRefused(f"adapters {names} cannot be put on {served_as}: {text[:600]}") from error
    for name, parameter in model.named_parameters():
        if ".lora_" in name:
            parameter.data = parameter.data.to(model.dtype)
    shown = {adapter.name: adapter.strength for adapter in adapters}
    _log.info("adapters combined", extra={"adapters": shown})


def _read(path: Path, strength: float) -> Adapter:
    try:
        config = json.loads((path / _CONFIG).read_text())
    except FileNotFoundError:
        raise AdapterRefused(f"{path} has no {_CONFIG}; it must lie in the image's /data folder") from None
    except ValueError as error:
        raise AdapterRefused(
            f"{path / _CONFIG} is not JSON ({error}); build the adapter's image again"
        ) from None
    if not (path / _TENSORS).is_file():
        raise AdapterRefused(f"{path} has no {_TENSORS}; save the adapter as safetensors")
    kind = config.get("peft_type")
    if kind != "LORA":
        raise AdapterRefused(f"adapter {path.name!r} is of type {kind}; only LORA adapters are served")
    for key, meaning in _NOT_COMBINABLE.items():
        if config.get(key):
            raise AdapterRefused(f"adapter {path.name!r} has {meaning} ({key}), which cannot be combined")
    if config.get("bias", "none") != "none":
        raise AdapterRefused(f"adapter {path.name!r} has trained biases (bias), which cannot be combined")
    return Adapter(
        path.name, path, strength, str(config.get("base_model_name_or_path") or "an unnamed model")
    )


def _require_same_base(model: PreTrainedModel, adapter: Adapter, served_as: str) -> None:
    """Compare every matrix with the module that it goes to.

    Names cannot decide: the base may be named by a hub id, a preset or a path. Without this check the
    library would pass over what does not fit, and serve the base model.
    """
    modules = dict(model.named_modules())
    for key, shape in _shapes(adapter).items():
        path, side = _split(key)
        weight = getattr(modules.get(path), "weight", None)
        if weight is None:
            raise AdapterRefused(
                f"adapter {adapter.name!r} was trained on {adapter.base!r}: it changes {path}, which "
                f"{served_as!r} ({type(model).__name__}, {model.config.num_hidden_layers} layers) does not "
                "have; use an adapter of the served model"
            )
        expected = _fan(modules[path])[side]
        found = shape[1] if side == 0 else shape[0]
        if found != expected:
            raise AdapterRefused(
                f"adapter {adapter.name!r} was trained on {adapter.base!r}: {path} has {found} "
                f"{'inputs' if side == 0 else 'outputs'} there and {expected} in {served_as!r}; "
                "use an adapter of the served model"
            )


def _shapes(adapter: Adapter) -> dict[str, list[int]]:
    """Return the shapes of the adapter's low-rank matrices, from the file's header alone."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(adapter.path / _TENSORS, framework="pt") as file:
            return {key: file.get_slice(key).get_shape() for key in file.keys() if ".lora_" in key}  # noqa: SIM118
    except SafetensorError as error:
        raise AdapterRefused(
            f"{adapter.path / _TENSORS} cannot be read ({error}); build the adapter's image again"
        ) from None


def _split(key: str) -> tuple[str, int]:
    """Split a tensor's key into the module's path and 0 for an A matrix (r, in), 1 for a B matrix (out, r).

    Those of embeddings are the other way round: A is (r, vocabulary) and B is (hidden, r), which is in and
    out as well.
    """
    path, _, rest = key.removeprefix(_KEY_PREFIX).partition(".lora_")
    return path, 0 if rest.removeprefix("embedding_").startswith("A") else 1


def _fan(module: nn.Module) -> tuple[int, int]:
    """Return (inputs, outputs) of a Linear, Conv1D (which stores its weight transposed) or Embedding."""
    rows, columns = (int(size) for size in module.get_parameter("weight").shape)
    transposed = type(module).__name__ in ("Conv1D", "Embedding")
    return (rows, columns) if transposed else (columns, rows)


def _combine(wrapped: PeftModel, adapters: Sequence[Adapter]) -> None:
    names = [adapter.name for adapter in adapters]
    tuner = wrapped.base_model
    touched = _layers_with(tuner, names)
    weights = [adapter.strength for adapter in adapters]
    tuner.add_weighted_adapter(names, weights, _COMBINED, combination_type="cat")
    lost = touched - _layers_with(tuner, [_COMBINED])
    if lost:  # peft places the combination by the first adapter's settings
        raise ValueError(f"they change different layers, and {min(lost)} would be left out")
    wrapped.set_adapter(_COMBINED)
    for name in names:
        wrapped.delete_adapter(name)
    for module in tuner.modules():
        scaling = _scaling(module)
        if _COMBINED in scaling:
            # The strengths are in the matrices. A first adapter with rsLoRA would leave sqrt(r) here.
            scaling[_COMBINED] = 1.0


def _layers_with(tuner: LoraModel, names: Sequence[str]) -> set[str]:
    return {path for path, module in tuner.named_modules() if any(name in _scaling(module) for name in names)}


def _scaling(module: nn.Module) -> dict[str, float]:
    """Return a LoRA layer's factors by adapter name; {} for others: attention has a number there."""
    scaling = getattr(module, "scaling", None)
    return scaling if isinstance(scaling, dict) else {}
