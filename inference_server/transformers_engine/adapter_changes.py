"""Changes: what one adapter does to one module, and the hook that applies it to the rows that want it.

The modules themselves stay as they are: a change acts on a module's output. Rows without an adapter are
therefore the base model's to the bit, and a model without adapters has no hook at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import nn
from torch.nn import functional


class Change(Protocol):
    """What one adapter does to the output of one module."""

    def apply(self, inputs: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        """Return the module's output under the adapter; `output` is the base's, of the same rows."""
        ...

    def tensors(self) -> Iterator[torch.Tensor]:
        """Yield the tensors that this change keeps in memory."""
        ...


@dataclass(frozen=True)
class LowRank:
    """LoRA on a linear module. `a` is (rank, inputs), `b` (outputs, rank), `bias` (outputs,) of `b`."""

    a: torch.Tensor
    b: torch.Tensor
    scale: float
    bias: torch.Tensor | None = None

    def apply(self, inputs: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        """Return output + scale (B A x + bias)."""
        return torch.add(output, self.product(inputs).to(output.dtype), alpha=self.scale)

    def product(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return B A x + bias, not scaled."""
        low = functional.linear(inputs.to(self.a.device, self.a.dtype), self.a)
        return functional.linear(low, self.b, self.bias)

    def tensors(self) -> Iterator[torch.Tensor]:
        """Yield A, B and the bias."""
        yield self.a
        yield self.b
        if self.bias is not None:
            yield self.bias


@dataclass(frozen=True)
class Dora:
    """DoRA on a linear module: LoRA with trained lengths of the weight's rows (arXiv:2402.09353, eq. 5).

    `factor` (outputs,) is the trained length by the length of W + scale B A, computed once at loading: the
    library computes it again with every step.
    """

    low_rank: LowRank
    factor: torch.Tensor
    base_bias: torch.Tensor | None

    def apply(self, inputs: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        """Return factor (W x + scale B A x) + bias."""
        straight = output if self.base_bias is None else output - self.base_bias
        changed = self.factor * self.low_rank.apply(inputs, straight)
        return changed if self.base_bias is None else changed + self.base_bias

    def tensors(self) -> Iterator[torch.Tensor]:
        """Yield what it has beside the base's bias."""
        yield from self.low_rank.tensors()
        yield self.factor


@dataclass(frozen=True)
class EmbeddingLowRank:
    """LoRA on an embedding. `a` is (rank, vocabulary), `b` (hidden, rank); `scale` has the module's too."""

    a: torch.Tensor
    b: torch.Tensor
    scale: float

    def apply(self, inputs: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        """Return output + scale B A[:, ids]."""
        low = functional.embedding(inputs.to(self.a.device), self.a.T)
        return torch.add(output, functional.linear(low, self.b).to(output.dtype), alpha=self.scale)

    def tensors(self) -> Iterator[torch.Tensor]:
        """Yield A and B."""
        yield self.a
        yield self.b


@dataclass(frozen=True)
class Replaced:
    """Another module in the place of the base's: modules_to_save."""

    module: nn.Module

    def apply(self, inputs: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        """Return what the other module gives."""
        return self.module(inputs).to(output.dtype)  # type: ignore[no-any-return]

    def tensors(self) -> Iterator[torch.Tensor]:
        """Yield all parameters and buffers."""
        yield from self.module.parameters()
        yield from self.module.buffers()


@dataclass
class Chosen:
    """Which adapter acts on which row of a forward.

    `single`: all rows have this one. Else `groups` has the row numbers of each revision; rows of none are in
    no group. `rows` is the number of all of them.
    """

    single: str | None
    groups: tuple[tuple[str, slice | list[int]], ...] = ()
    rows: int = 0
    _indices: dict[tuple[int, torch.device], torch.Tensor] = field(default_factory=dict)

    def index(self, group: int, device: torch.device) -> slice | torch.Tensor:
        """Return the rows of a group, on `device`: one copy for all modules there."""
        rows = self.groups[group][1]
        if isinstance(rows, slice):
            return rows
        key = (group, device)
        if key not in self._indices:
            self._indices[key] = torch.tensor(rows, device=device)
        return self._indices[key]


@dataclass
class Current:
    """The choice for the forward that runs now; None: no row has an adapter."""

    chosen: Chosen | None = None


class Site:
    """One module that adapters change. Its hook is on the module as long as there are `changes`."""

    def __init__(self, module: nn.Module, current: Current) -> None:
        self.changes: dict[str, Change] = {}
        self._current = current
        self._handle = module.register_forward_hook(self._hook, with_kwargs=True)

    def remove(self) -> None:
        """Leave the module as it was."""
        self._handle.remove()

    def _hook(
        self, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: torch.Tensor
    ) -> torch.Tensor | None:
        chosen = self._current.chosen
        if chosen is None:
            return None
        inputs = args[0] if args else next(iter(kwargs.values()))
        if chosen.single is not None:
            change = self.changes.get(chosen.single)
            return None if change is None else change.apply(inputs, output)
        self._mixed(chosen, inputs, output)
        return None

    def _mixed(self, chosen: Chosen, inputs: torch.Tensor, output: torch.Tensor) -> None:
        for number, (revision, _) in enumerate(chosen.groups):
            change = self.changes.get(revision)
            if change is None:
                continue
            if inputs.shape[0] != chosen.rows:
                raise RuntimeError("a module does not keep its rows apart, and rows of several adapters met")
            index = chosen.index(number, output.device)
            own = inputs[chosen.index(number, inputs.device)]
            # In place: a module's output belongs to nobody else yet, and other rows need no copy.
            output[index] = change.apply(own, output[index])


def choose(revisions: tuple[str, ...]) -> Chosen | None:
    """Return the choice of one revision a row, '' being none; None where no row has one."""
    members: dict[str, list[int]] = {}
    for row, revision in enumerate(revisions):
        if revision:
            members.setdefault(revision, []).append(row)
    if not members:
        return None
    if len(set(revisions)) == 1:
        return Chosen(revisions[0])
    groups = tuple((revision, _as_slice(rows)) for revision, rows in members.items())
    return Chosen(None, groups, len(revisions))


def _as_slice(rows: list[int]) -> slice | list[int]:
    """Rows that lie side by side need no copy."""
    return slice(rows[0], rows[-1] + 1) if rows[-1] - rows[0] + 1 == len(rows) else rows
