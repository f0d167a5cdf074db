"""LoraSettings: what adapter_config.json says, and what of it this server does not serve."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inference_server.errors import AdapterRefused

CONFIG_FILE = "adapter_config.json"
TENSORS_FILE = "adapter_model.safetensors"
_CONFIG_BYTES = 4 * 1024**2  # the largest configs list every module of a large model
_PICKLES = ("adapter_model.bin", "adapter_model.pt", "adapter_model.pth")
# Settings that change what the tensors mean in ways that are not computed here, with what they are.
NOT_SERVED = {
    "trainable_token_indices": "trained tokens",
    "target_parameters": "parameters outside of modules",
    "layer_replication": "replicated layers",
    "alora_invocation_tokens": "activation by tokens (aLoRA)",
    "arrow_config": "Arrow routing",
    "kasa_config": "KaSA",
    "monteclora_config": "MonteCLoRA",
    "use_bdlora": "BD-LoRA",
    "use_qalora": "QA-LoRA",
    "velora_config": "VeLoRA",
}
# Starting points of training that took something out of the base's weights: without that, sums are wrong.
CHANGED_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")


@dataclass(frozen=True)
class LoraSettings:
    """The parts of peft's LoraConfig that say what the tensors mean."""

    base: str
    rank: int
    alpha: float
    rank_pattern: Mapping[str, int] = field(default_factory=dict)
    alpha_pattern: Mapping[str, float] = field(default_factory=dict)
    rslora: bool = False
    dora: bool = False
    lora_bias: bool = False
    saved_modules: tuple[str, ...] = ()
    target_modules: str | tuple[str, ...] = ()
    narrowed: bool = False  # not every module that target_modules names is meant

    def scaling(self, path: str, rank: int) -> float:
        """Return the factor of B A on the module at `path`."""
        alpha = _by_pattern(self.alpha_pattern, path, self.alpha)
        return float(alpha / math.sqrt(rank) if self.rslora else alpha / rank)

    def rank_of(self, path: str) -> int:
        """Return the rank that the module at `path` should have."""
        return int(_by_pattern(self.rank_pattern, path, self.rank))


def read_settings(name: str, folder: Path) -> LoraSettings:
    """Read an adapter's config.

    Raises:
        AdapterRefused: a file is missing or unreadable, or the adapter is of a kind that is not served.
    """
    content = _content(name, folder)
    if not (folder / TENSORS_FILE).is_file():
        pickle = next((file for file in _PICKLES if (folder / file).exists()), None)
        cause = f"has {pickle}, a pickle, which may run code" if pickle else f"has no {TENSORS_FILE}"
        raise AdapterRefused(f"adapter {name!r} {cause}; save the adapter as safetensors")
    _require_served(name, content)
    try:
        return _settings(content)
    except (TypeError, ValueError) as error:
        raise AdapterRefused(
            f"adapter {name!r} has a {CONFIG_FILE} that cannot be used: {error}; save the adapter again"
        ) from None


def _content(name: str, folder: Path) -> dict[str, Any]:
    path = folder / CONFIG_FILE
    try:
        if path.stat().st_size > _CONFIG_BYTES:
            raise AdapterRefused(f"adapter {name!r} has a {CONFIG_FILE} of more than 4 MiB; save it again")
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise AdapterRefused(
            f"adapter {name!r} has no readable {CONFIG_FILE} ({error.strerror}); "
            "it must lie in the image's /data folder"
        ) from None
    except (ValueError, RecursionError):
        raise AdapterRefused(f"adapter {name!r}: {CONFIG_FILE} is not JSON; build the image again") from None
    if not isinstance(content, dict):
        raise AdapterRefused(f"adapter {name!r}: {CONFIG_FILE} is not a JSON object; build the image again")
    return content


def _require_served(name: str, content: Mapping[str, Any]) -> None:
    kind = content.get("peft_type")
    if kind != "LORA":
        raise AdapterRefused(
            f"adapter {name!r} is of type {str(kind)[:64]}; only LORA adapters are served, train one"
        )
    for key, meaning in NOT_SERVED.items():
        if content.get(key):
            raise AdapterRefused(
                f"adapter {name!r} has {meaning} ({key}), which this server does not compute; "
                "train the adapter without"
            )
    if content.get("bias", "none") != "none":
        raise AdapterRefused(
            f"adapter {name!r} has trained biases of the base model (bias), which every other request "
            "would get too; train the adapter with bias: none"
        )
    start = content.get("init_lora_weights")
    if isinstance(start, str) and start.startswith(CHANGED_BASE):
        raise AdapterRefused(
            f"adapter {name!r} was begun by {start[:32]}, which changes the base model's weights; save it "
            "with path_initial_model_for_weight_conversion, which makes an ordinary LoRA of it"
        )


def _settings(content: Mapping[str, Any]) -> LoraSettings:
    targets = content.get("target_modules") or ()
    return LoraSettings(
        base=str(content.get("base_model_name_or_path") or ""),
        rank=int(_number(content.get("r", 8), "r")),
        alpha=_number(content.get("lora_alpha", 8), "lora_alpha"),
        rank_pattern={
            key: int(value) for key, value in _numbers(content.get("rank_pattern"), "rank_pattern").items()
        },
        alpha_pattern=_numbers(content.get("alpha_pattern"), "alpha_pattern"),
        rslora=bool(content.get("use_rslora")),
        dora=bool(content.get("use_dora")),
        lora_bias=bool(content.get("lora_bias")),
        saved_modules=_texts(content.get("modules_to_save") or (), "modules_to_save"),
        target_modules=targets if isinstance(targets, str) else _texts(targets, "target_modules"),
        narrowed=bool(content.get("layers_to_transform") or content.get("exclude_modules")),
    )


def _number(value: object, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{key} is no number")
    return float(value)


def _numbers(value: object, key: str) -> dict[str, float]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise TypeError(f"{key} is no object")
    return {pattern: _number(number, f"{key}[{pattern[:64]!r}]") for pattern, number in value.items()}


def _texts(value: object, key: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise TypeError(f"{key} is no list of texts")
    return tuple(value)


def _by_pattern(patterns: Mapping[str, float], path: str, default: float) -> float:
    """Look up what peft's own rule finds: a pattern is the end of a path, or a regular expression for it."""
    if not patterns:
        return default
    from peft.utils.other import get_pattern_key

    return patterns.get(get_pattern_key(list(patterns), path), default)
