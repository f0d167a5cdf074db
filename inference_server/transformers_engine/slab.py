"""Slab: the keys and values of all rows, in one tensor a layer. A row holds its tokens from column 0 on.

The library hands each layer's new keys and values to update(), and attends to what that returns. Rows are
written in place: nothing is copied as answers grow, and a row that leaves costs one copy of another row.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin


@dataclass
class _Aim:
    """What the present forward computes: rows `first` to `first + count`, the new columns from `start` on.

    With `columns`, one new column a row, of its own (decoding). Else all rows have the same `start`.
    """

    first: int = 0
    count: int = 0
    start: int = 0
    columns: torch.Tensor | None = None
    rows: torch.Tensor | None = None
    _moved: dict[torch.device, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)

    def index(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Return `rows` and `columns` on a layer's device: layers may lie on several, an index must not."""
        assert self.rows is not None and self.columns is not None  # noqa: S101, PT018 - of a decoding step
        if device not in self._moved:
            self._moved[device] = (self.rows.to(device), self.columns.to(device))
        return self._moved[device]


class _Layer(CacheLayerMixin):  # type: ignore[misc] # the library has no types
    """The slab of one layer; see Slab. Shapes are (rows, heads, columns, size of a head)."""

    is_sliding = False

    def __init__(self, slab: Slab) -> None:
        super().__init__()
        self._slab = slab

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        rows, columns = self._slab.rows, self._slab.columns
        # Zeros: a masked column has weight 0, and 0 times a stray NaN would be NaN.
        self.keys = key_states.new_zeros((rows, key_states.shape[1], columns, key_states.shape[3]))
        self.values = value_states.new_zeros((rows, value_states.shape[1], columns, value_states.shape[3]))
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: object, **__: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        aim = self._slab.aim
        if aim.columns is not None:
            at, columns = aim.index(key_states.device)
            self.keys[at, :, columns] = key_states[:, :, 0]
            self.values[at, :, columns] = value_states[:, :, 0]
        else:
            new = slice(aim.start, aim.start + key_states.shape[2])
            self.keys[aim.first : aim.first + aim.count, :, new] = key_states
            self.values[aim.first : aim.first + aim.count, :, new] = value_states
        seen = (slice(aim.first, aim.first + aim.count), slice(None), slice(aim.start + key_states.shape[2]))
        return self.keys[seen], self.values[seen]

    def resize(self, kept_rows: int, kept_columns: int) -> None:
        """Make room for the slab's rows and columns, and keep a corner of what is there.

        One tensor at a time, so that little more memory is needed than the larger slab takes. Where that is
        not there, the tensors that were not reached stay as they are.
        """
        if not self.is_initialized:
            return
        for name in ("keys", "values"):
            old = getattr(self, name)
            new = old.new_zeros((self._slab.rows, old.shape[1], self._slab.columns, old.shape[3]))
            new[:kept_rows, :, :kept_columns] = old[:kept_rows, :, :kept_columns]
            setattr(self, name, new)

    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first columns of one row over another."""
        if self.is_initialized:
            self.keys[target, :, :length] = self.keys[source, :, :length]
            self.values[target, :, :length] = self.values[source, :, :length]

    def clear(self, row: int) -> None:
        """Forget what a row holds: it may be no number, which a mask does not stop."""
        if self.is_initialized:
            self.keys[row].zero_()
            self.values[row].zero_()

    def bytes_per_token(self) -> int:
        """Return the size of one column of one row; 0 before anything was computed."""
        if not self.is_initialized:
            return 0
        sizes = (
            tensor.shape[1] * tensor.shape[3] * tensor.element_size() for tensor in (self.keys, self.values)
        )
        return sum(sizes)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self._slab.aim.start + query_length, 0

    def get_seq_length(self) -> int:
        return self._slab.aim.start

    def get_max_length(self) -> int:
        return -1


class Slab(Cache):  # type: ignore[misc] # the library has no types
    """All layers. `rows` and `columns` are what there is room for."""

    def __init__(self, layers: int, rows: int = 1, columns: int = 64) -> None:
        self.rows = rows
        self.columns = columns
        self.aim = _Aim()
        super().__init__(layers=[_Layer(self) for _ in range(layers)])

    def aim_at_piece(self, first: int, count: int, start: int) -> None:
        """Let the next forward write `count` rows, all from column `start` on."""
        self.aim = _Aim(first, count, start)

    def aim_at_columns(self, first: int, lengths: torch.Tensor, longest: int) -> None:
        """Let the next forward write one column a row: that behind the `lengths` (rows,) of each."""
        rows = torch.arange(first, first + len(lengths), device=lengths.device)
        self.aim = _Aim(first, len(lengths), longest, lengths, rows)

    def resize(self, rows: int, columns: int, kept_rows: int, kept_columns: int) -> None:
        """Change the room, and keep the first rows and columns."""
        self.rows, self.columns = rows, columns
        for layer in self._own():
            layer.resize(kept_rows, min(kept_columns, columns))

    def move(self, source: int, target: int, length: int) -> None:
        """Copy `length` columns of row `source` over row `target`."""
        for layer in self._own():
            layer.move(source, target, length)

    def clear(self, row: int) -> None:
        """Write zeros over a row."""
        for layer in self._own():
            layer.clear(row)

    def bytes_per_token(self) -> int:
        """Return the size of one token's keys and values in all layers; 0 before anything was computed."""
        return sum(layer.bytes_per_token() for layer in self._own())

    def _own(self) -> list[Any]:
        return list(self.layers)
