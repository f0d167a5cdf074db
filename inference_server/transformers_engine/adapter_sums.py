"""Combine adapters into one: the strength-weighted sum of their changes, or what else peft offers.

`cat` stacks the matrices and is exactly the sum, for any mix of ranks, scalings and layers. peft's own `cat`
places its result by the first adapter's settings and loses layers that only a later one has. `svd` is the
same sum, cut to the largest rank of a part; it is computed from the factors, where peft decomposes every
whole matrix: minutes for the same numbers. The other ways are peft's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from inference_server.engine import Combination
from inference_server.transformers_engine.adapter_changes import Change, LowRank

_DENSITY = 0.5  # of the values that the ties, dare and magnitude ways keep; v0.3.0 has no flag for it
_COMBINED = "combined"

Part = tuple[Mapping[str, Change], float]  # an adapter's changes by module, and its strength


def combine(parts: Sequence[Part], how: Combination) -> dict[str, Change]:
    """Return the changes of all parts together. Parts of strength 0 are left out: 0 times NaN is NaN.

    Raises:
        ValueError: with peft's words: they cannot be combined in this way.
    """
    parts = [part for part in parts if part[1] != 0]
    if len(parts) == 1 and how != "cat":  # v0.3.0 takes the adapter times its strength, whatever the way
        how = "cat"
    found: dict[str, list[tuple[LowRank, float]]] = {}
    for changes, strength in parts:
        for path, change in changes.items():
            if not isinstance(change, LowRank) or change.bias is not None:
                raise ValueError(f"{path} has more than low-rank matrices")
            found.setdefault(path, []).append((change, strength))
    if how == "cat":
        return {path: _stacked(members) for path, members in found.items()}
    if how == "svd":
        rank = max(member.a.shape[0] for members in found.values() for member, _ in members)
        return {path: _cut(_stacked(members), rank) for path, members in found.items()}
    return _by_peft(parts, how)


def _stacked(members: Sequence[tuple[LowRank, float]]) -> LowRank:
    if len(members) == 1:
        change, strength = members[0]
        return LowRank(change.a, change.b, change.scale * strength)
    a = torch.cat([change.a for change, _ in members])
    scaled = [change.b.float() * (change.scale * strength) for change, strength in members]
    return LowRank(a, torch.cat(scaled, dim=1).to(a.dtype), 1.0)


def _cut(change: LowRank, rank: int) -> LowRank:
    """Return the best approximation of this rank: with B = Qb Rb and A' = Qa Ra only Rb Ra' is decomposed."""
    if change.a.shape[0] <= rank:
        return change
    qb, rb = torch.linalg.qr(change.b.float())
    qa, ra = torch.linalg.qr(change.a.float().T)
    u, s, vh = torch.linalg.svd(rb @ ra.T, full_matrices=False)
    b = qb @ (u[:, :rank] * s[:rank])
    a = vh[:rank] @ qa.T
    return LowRank(a.to(change.a.dtype), b.to(change.b.dtype), change.scale)


def _by_peft(parts: Sequence[Part], how: Combination) -> dict[str, Change]:
    """Give peft a skeleton that has only the modules that change, and the adapters on it."""
    from peft import LoraConfig, LoraModel

    paths = sorted({path for changes, _ in parts for path in changes})
    skeleton = _Skeleton(paths, parts)
    names = [f"part{number}" for number in range(len(parts))]
    tuner: Any = None
    for name, (changes, _) in zip(names, parts, strict=True):
        ranks = {path: _low_rank(change).a.shape[0] for path, change in changes.items()}
        rank = max(ranks.values())
        config = LoraConfig(
            r=rank, lora_alpha=rank, rank_pattern=ranks, target_modules=[_flat(path) for path in changes]
        )
        config.rank_pattern = {_flat(path): of for path, of in ranks.items()}
        config.alpha_pattern = dict(config.rank_pattern)  # scaling 1: the matrices hold it
        if tuner is None:
            tuner = LoraModel(skeleton, {name: config}, name)
        else:
            tuner.peft_config[name] = config
            tuner.inject_adapter(skeleton, name)
        for path, change in changes.items():
            layer, low_rank = getattr(skeleton, _flat(path)), _low_rank(change)
            layer.lora_A[name].weight.data = low_rank.a.float()
            layer.lora_B[name].weight.data = low_rank.b.float() * low_rank.scale
    density = None if how == "linear" else _DENSITY
    strengths = [strength for _, strength in parts]
    with torch.random.fork_rng(devices=[]):  # dare drops values at random: the same ones at every start
        torch.manual_seed(0)
        tuner.add_weighted_adapter(names, strengths, _COMBINED, combination_type=how, density=density)
    return {path: _taken(getattr(skeleton, _flat(path)), _like(parts, path)) for path in paths}


def _low_rank(change: Change) -> LowRank:
    assert isinstance(change, LowRank)  # noqa: S101 - combine() has looked
    return change


def _like(parts: Sequence[Part], path: str) -> torch.Tensor:
    return next(_low_rank(changes[path]).a for changes, _ in parts if path in changes)


def _taken(layer: Any, like: torch.Tensor) -> LowRank:  # noqa: ANN401 - the library has no types
    if _COMBINED not in layer.lora_A:
        raise ValueError("they change different modules, and peft would leave some of them out")
    a, b = layer.lora_A[_COMBINED].weight.detach(), layer.lora_B[_COMBINED].weight.detach()
    return LowRank(a.to(like), b.to(like), float(layer.scaling[_COMBINED]))


def _flat(path: str) -> str:
    return path.replace(".", "__")


class _Skeleton(nn.Module):
    """The modules at `paths`, without weights; their names are flat."""

    def __init__(self, paths: Sequence[str], parts: Sequence[Part]) -> None:
        super().__init__()
        for path in paths:
            change = next(_low_rank(changes[path]) for changes, _ in parts if path in changes)
            device = change.a.device
            module = nn.Linear(change.a.shape[1], change.b.shape[0], bias=False, device="meta")
            # peft puts its matrices where this is; the numbers themselves are never read.
            module.weight = nn.Parameter(
                torch.empty(1, device=device).expand(module.weight.shape), requires_grad=False
            )
            self.add_module(_flat(path), module)
