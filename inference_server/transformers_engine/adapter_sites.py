"""Sites: the hooks by which adapters act on modules, each on the rows that want it.

Rows without an adapter are the base model's to the bit, and a model without adapters has no hook at all. Rows
of several adapters share two products: their matrices are stacked, and what is not of a row's own adapter is
set to zero in between. That takes the same few operations for any number of adapters, where one after another
takes some for each, and in a small step these count more than the numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from inference_server.transformers_engine.adapter_changes import Change, LowRank

_MOST_STACKED = 512  # ranks together; beyond, the zeros cost more than they save
_STACKS_KEPT = 2  # sets of adapters; a set changes only when the last row of one of them leaves


@dataclass
class Chosen:
    """Which adapter acts on which row of a forward.

    `single`: all rows have this one. Else `groups` has the row numbers of each revision; rows of none are in
    no group. `rows` is the number of all of them.
    """

    single: str | None
    groups: tuple[tuple[str, tuple[int, ...]], ...] = ()
    rows: int = 0
    _indices: dict[tuple[str, torch.device], torch.Tensor] = field(default_factory=dict)
    _masks: dict[tuple[tuple[tuple[str, int], ...], torch.device], torch.Tensor] = field(default_factory=dict)

    def index(self, revision: str, rows: tuple[int, ...], device: torch.device) -> torch.Tensor:
        """Return the rows of a group, on `device`: one copy for all modules there."""
        key = (revision, device)
        if key not in self._indices:
            self._indices[key] = torch.tensor(rows, device=device)
        return self._indices[key]

    def foreign(self, ranks: tuple[tuple[str, int], ...], device: torch.device) -> torch.Tensor:
        """Return a mask (rows, 1, all ranks): true where a stacked rank is not of the row's own adapter."""
        key = (ranks, device)
        if key not in self._masks:
            mask = torch.ones((self.rows, 1, sum(rank for _, rank in ranks)), dtype=torch.bool)
            of, start = dict(self.groups), 0
            for revision, rank in ranks:
                mask[list(of[revision]), :, start : start + rank] = False
                start += rank
            self._masks[key] = mask.to(device)
        return self._masks[key]


@dataclass
class Current:
    """The choice for the forward that runs now; None: no row has an adapter."""

    chosen: Chosen | None = None


@dataclass(frozen=True)
class _Stack:
    """LoRA matrices of several adapters: `a` (ranks, inputs), `b` (outputs, ranks) with the scales."""

    ranks: tuple[tuple[str, int], ...]
    a: torch.Tensor
    b: torch.Tensor


class Site:
    """One module that adapters change. Its hook is on the module as long as there are changes."""

    def __init__(self, module: nn.Module, current: Current) -> None:
        self._changes: dict[str, Change] = {}
        self._stacks: dict[frozenset[str], _Stack | None] = {}
        self._current = current
        self._handle = module.register_forward_hook(self._hook, with_kwargs=True)

    @property
    def empty(self) -> bool:
        """Say whether nothing changes the module any more."""
        return not self._changes

    def put(self, revision: str, change: Change) -> None:
        """Let a revision change the module."""
        self._changes[revision] = change
        self._stacks.clear()

    def take(self, revision: str) -> None:
        """Let it no more."""
        self._changes.pop(revision, None)
        self._stacks.clear()

    def remove(self) -> None:
        """Leave the module as it was."""
        self._handle.remove()

    def tensors(self) -> Iterator[torch.Tensor]:
        """Yield what is kept beside the changes themselves."""
        for stack in list(self._stacks.values()):
            if stack is not None:
                yield stack.a
                yield stack.b

    def _hook(
        self, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: torch.Tensor
    ) -> torch.Tensor | None:
        chosen = self._current.chosen
        if chosen is None:
            return None
        inputs = args[0] if args else next(iter(kwargs.values()))
        if chosen.single is not None:
            change = self._changes.get(chosen.single)
            return None if change is None else change.apply(inputs, output)
        self._mixed(chosen, inputs, output)
        return None

    def _mixed(self, chosen: Chosen, inputs: torch.Tensor, output: torch.Tensor) -> None:
        """Change rows of several adapters in place: a module's output belongs to nobody else yet."""
        here = [(revision, rows) for revision, rows in chosen.groups if revision in self._changes]
        if not here:
            return
        if inputs.shape[0] != chosen.rows:
            raise RuntimeError("a module does not keep its rows apart, and rows of several adapters met")
        stack = self._stack(frozenset(revision for revision, _ in here))
        if stack is not None:
            _add_stack(stack, chosen, inputs, output)
        stacked = dict(stack.ranks) if stack else {}
        for revision, rows in here:
            if revision not in stacked:
                index = chosen.index(revision, rows, output.device)
                own = inputs[chosen.index(revision, rows, inputs.device)]
                output[index] = self._changes[revision].apply(own, output[index])

    def _stack(self, revisions: frozenset[str]) -> _Stack | None:
        if revisions not in self._stacks:
            if len(self._stacks) >= _STACKS_KEPT:
                self._stacks.pop(next(iter(self._stacks)))
            self._stacks[revisions] = _stacked({one: self._changes[one] for one in sorted(revisions)})
        return self._stacks[revisions]


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
    return Chosen(None, tuple((one, tuple(rows)) for one, rows in members.items()), len(revisions))


def _stacked(changes: dict[str, Change]) -> _Stack | None:
    """Stack the plain ones of `changes`; None if there are none, or too many ranks."""
    plain = {
        one: change for one, change in changes.items() if isinstance(change, LowRank) and change.bias is None
    }
    ranks = tuple((one, int(change.a.shape[0])) for one, change in plain.items())
    if not ranks or sum(rank for _, rank in ranks) > _MOST_STACKED:
        return None
    a = torch.cat([change.a for change in plain.values()])
    b = torch.cat([change.b.float() * change.scale for change in plain.values()], dim=1)
    return _Stack(ranks, a, b.to(a.dtype))


def _add_stack(stack: _Stack, chosen: Chosen, inputs: torch.Tensor, output: torch.Tensor) -> None:
    low = functional.linear(inputs.to(stack.a.device, stack.a.dtype), stack.a)
    foreign = chosen.foreign(stack.ranks, low.device)
    # Filled, not multiplied: what overflows under another row's adapter would be NaN times zero.
    low.masked_fill_(foreign if low.dim() == 3 else foreign[:, 0], 0)
    output.add_(functional.linear(low, stack.b).to(output.device, output.dtype))
