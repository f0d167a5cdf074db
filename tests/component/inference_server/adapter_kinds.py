"""Make adapters of many kinds for a tiny model with peft, and what peft itself answers with each.

Every adapter has a B that is not zero: one that changes nothing would pass every test.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import torch
import transformers
from safetensors.torch import load_file, save_file

VOCABULARY = 97
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "rslora": {"use_rslora": True, "r": 3},
    "patterns": {"rank_pattern": {"layers.1.self_attn.q_proj": 7}, "alpha_pattern": {"down_proj": 3}},
    "elsewhere": {"target_modules": ["v_proj", "up_proj"], "r": 9},
    "dora": {"use_dora": True},
    "biased": {"lora_bias": True, "target_modules": ["q_proj"]},
    "embedding": {"target_modules": ["embed_tokens", "q_proj"]},
    "saved": {"modules_to_save": ["lm_head"]},
}


def make_model(**changed: Any) -> Any:
    """A tiny Llama with random weights."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 64, "initializer_range": 0.2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "attention_bias": True}
    config = transformers.LlamaConfig(vocab_size=VOCABULARY, **{**sizes, **heads, **changed})
    return transformers.LlamaForCausalLM(config).eval()


def make_adapter(model: Any, folder: Path, ids: torch.Tensor, **config: Any) -> torch.Tensor:
    """Write an adapter to `folder`; return peft's logits for `ids`."""
    given = {"r": 4, "lora_alpha": 7, "target_modules": ["q_proj", "down_proj"], **config}
    wrapped = peft.get_peft_model(copy.deepcopy(model), peft.LoraConfig(**given)).eval()
    torch.manual_seed(sum(map(ord, folder.name)))
    with torch.no_grad():
        for key, parameter in wrapped.named_parameters():
            if ".lora_" in key:
                parameter.add_(torch.randn_like(parameter) * 0.2)
            elif ".modules_to_save." in key:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    wrapped.save_pretrained(str(folder))
    with torch.inference_mode():
        return wrapped(input_ids=ids).logits  # type: ignore[no-any-return]


def changed_copy(
    source: Path, target: Path, tensors: Callable[[dict[str, torch.Tensor]], object], **config: Any
) -> Path:
    """Copy an adapter, with its tensors and its config changed."""
    target.mkdir(parents=True)
    content = json.loads((source / "adapter_config.json").read_text())
    (target / "adapter_config.json").write_text(json.dumps({**content, **config}))
    loaded = load_file(source / "adapter_model.safetensors")
    tensors(loaded)
    save_file(loaded, target / "adapter_model.safetensors")
    return target


def first_key(tensors: dict[str, torch.Tensor], part: str = "lora_A") -> str:
    """The key of some tensor of an adapter."""
    return min(key for key in tensors if part in key)


def with_nan(tensors: dict[str, torch.Tensor]) -> None:
    tensors[first_key(tensors)][0, 0] = float("nan")


def with_wrong_key(tensors: dict[str, torch.Tensor]) -> None:
    key = first_key(tensors)
    tensors[key.replace("self_attn", "attention").replace("mlp", "ffn")] = tensors.pop(key)


def with_wrong_ending(tensors: dict[str, torch.Tensor]) -> None:
    key = first_key(tensors)
    tensors[key.replace(".weight", ".default.weight")] = tensors.pop(key)


def with_wrong_shape(tensors: dict[str, torch.Tensor]) -> None:
    key = first_key(tensors)
    tensors[key] = tensors[key][:, :-1].contiguous()


def with_wrong_rank(tensors: dict[str, torch.Tensor]) -> None:
    key = first_key(tensors)
    tensors[key] = tensors[key][:-1].contiguous()


def without_b(tensors: dict[str, torch.Tensor]) -> None:
    del tensors[first_key(tensors, "lora_B")]


def with_whole_numbers(tensors: dict[str, torch.Tensor]) -> None:
    key = first_key(tensors)
    tensors[key] = tensors[key].to(torch.int32)


def with_base_weights(tensors: dict[str, torch.Tensor]) -> None:
    tensors["base_model.model.model.norm.weight"] = torch.full((32,), 3.0)


def without_tensors(tensors: dict[str, torch.Tensor]) -> None:
    tensors.clear()


def without_a_layer(tensors: dict[str, torch.Tensor]) -> None:
    for key in [key for key in tensors if ".layers.1." in key]:
        del tensors[key]


def unchanged(_: dict[str, torch.Tensor]) -> None:
    return


BROKEN = {
    "nan": with_nan,
    "wrong key": with_wrong_key,
    "wrong ending": with_wrong_ending,
    "wrong shape": with_wrong_shape,
    "wrong rank": with_wrong_rank,
    "no b": without_b,
    "whole numbers": with_whole_numbers,
    "base weights": with_base_weights,
    "no tensors": without_tensors,
}
