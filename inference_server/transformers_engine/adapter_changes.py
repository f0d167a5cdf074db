"""Changes: what one adapter does to one module. The module stays as it is: a change acts on its output."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

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
