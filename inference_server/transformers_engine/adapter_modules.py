"""Modules: sizes and places of what adapters act on, and what DoRA and modules_to_save need of them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from inference_server.transformers_engine.adapter_changes import Dora, LowRank, Replaced

# What linear modules, transformers' Conv1D and embeddings call their inputs and outputs.
_SIZES = (("in_features", "out_features"), ("nx", "nf"), ("num_embeddings", "embedding_dim"))


def fan(module: nn.Module) -> tuple[int, int] | None:
    """Return (inputs, outputs) of a linear module, quantized or not, or an embedding; None for others."""
    for inputs, outputs in (
        ("in_features", "out_features"),
        ("nx", "nf"),
        ("num_embeddings", "embedding_dim"),
    ):
        if hasattr(module, inputs) and hasattr(module, outputs):
            return int(getattr(module, inputs)), int(getattr(module, outputs))
    return None


def is_packed(module: nn.Module) -> bool:
    """Say whether the weight is quantized: it cannot be replaced by a plain one."""
    weight = getattr(module, "weight", None)
    return isinstance(weight, torch.Tensor) and not weight.is_floating_point()


def place(module: nn.Module, dtype: torch.dtype) -> dict[str, Any]:
    """Return where the module's inputs are and in which type: a quantized weight has another one."""
    weight = next(module.parameters())
    return {"device": weight.device, "dtype": weight.dtype if weight.is_floating_point() else dtype}


def dora(module: nn.Module, low_rank: LowRank, magnitude: torch.Tensor) -> Dora:
    """Return the change of a DoRA adapter; the lengths of the changed weight's rows are computed here."""
    from peft.utils.integrations import dequantize_module_weight

    weight = dequantize_module_weight(module).detach().float()
    if hasattr(module, "nf"):  # Conv1D stores its weight transposed
        weight = weight.T
    changed = weight + low_rank.scale * (low_rank.b.float() @ low_rank.a.float())
    lengths = torch.linalg.norm(changed, dim=1)
    factor = magnitude.flatten().to(lengths.device).float() / lengths.clamp_min(
        torch.finfo(torch.float32).tiny
    )
    bias = getattr(module, "bias", None)
    return Dora(low_rank, factor.to(low_rank.a.dtype), None if bias is None else bias.detach())


def _bare_copy(module: nn.Module) -> nn.Module:
    """Copy a module with parameters of its own, and without hooks: it would call itself for ever."""
    fresh = copy.copy(module)
    bare = nn.Module().__dict__  # empty tables of hooks
    fresh.__dict__.update({key: table for key, table in bare.items() if "_hooks" in key})
    fresh._parameters = dict(module._parameters)
    fresh.__dict__.pop("forward", None)  # accelerate's, which would run the module that this is a copy of
    return fresh


def replaced(module: nn.Module, parts: Mapping[str, torch.Tensor]) -> Replaced:
    """Return the change of a module that an adapter brings whole; `parts` are its parameters by name."""
    fresh = _bare_copy(module)
    for key, parameter in module.named_parameters():
        tensor = parts[key].to(parameter.device, parameter.dtype, copy=True)
        fresh.register_parameter(key, nn.Parameter(tensor, requires_grad=False))
    return Replaced(fresh)
