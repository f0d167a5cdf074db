"""Places: which row of the slab belongs to whom, and how large it has to be. Arithmetic and calls of Forward.

Rows that generate come first, rows whose prompts are being computed behind them, both without gaps: a forward
takes a range of rows.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field

from inference_server.engine import NewRow
from inference_server.transformers_engine.failures import is_out_of_memory, raise_if_broken
from inference_server.transformers_engine.forward import Forward
from inference_server.transformers_engine.sampler import RowSampler

_COLUMN_STEP = 128  # the slab grows by this many columns at least
_GROWTH = 1.25


@dataclass(eq=False)
class Place:
    """One row of the batch: what it is, what of it is in the slab, and its next token.

    `length` counts the tokens in the slab. `tokens` are prompt and answer; all but the last are in the slab
    once the row generates. `twins` join with it: they have the same prompt, which is computed once.
    """

    new: NewRow
    sampler: RowSampler
    order: int
    length: int = 0
    tokens: list[int] = field(default_factory=list)
    twins: list[Place] = field(default_factory=list)

    @property
    def missing(self) -> int:
        """Return how many tokens have to be computed before the row can generate."""
        return len(self.tokens) - self.length

    def same(self, other: Place) -> bool:
        """Say whether both need the same keys and values: rows of one request that have the same tokens."""
        mine, theirs = self.new, other.new
        return (mine.group, mine.adapter) == (theirs.group, theirs.adapter) and self.tokens == other.tokens

    def piece(self, start: int, length: int, pad: int) -> list[int]:
        """Return `length` tokens from `start` on, filled up at the end."""
        tokens = self.tokens[start : start + length]
        return tokens + [pad] * (length - len(tokens))


class NoRoom(Exception):  # noqa: N818 - it is no error: a row is set back
    """The slab cannot grow any more. `short`: it is within the capacity, but the memory is not there."""

    def __init__(self, *, short: bool = False) -> None:
        super().__init__()
        self.short = short


class Places:
    """The rows of the slab. `capacity` is how many tokens (rows times columns) it may hold."""

    def __init__(self, forward: Forward, capacity: int) -> None:
        self._forward = forward
        self.capacity = capacity
        self.running: list[Place] = []
        self.joining: list[Place] = []
        self._rows = forward.slab.rows
        self._columns = forward.slab.columns

    @property
    def used(self) -> int:
        """Return how many tokens are in the slab."""
        return sum(place.length for place in (*self.running, *self.joining))

    @property
    def size(self) -> int:
        """Return how many tokens the slab has room for now."""
        return self._rows * self._columns

    @property
    def rows(self) -> int:
        """Return how many rows there are, those included that join with others."""
        return len(self.running) + sum(1 + len(place.twins) for place in self.joining)

    @property
    def longest(self) -> int:
        """Return the length of the longest row, with the token that is computed next."""
        return max((len(place.tokens) for place in (*self.running, *self.joining)), default=0)

    def would_fit(self, rows: int, columns: int) -> bool:
        """Say whether so many rows of so many columns are within the capacity."""
        return rows * columns <= self.capacity

    def reserve(self, rows: int, columns: int) -> None:
        """Make the slab large enough.

        Raises:
            NoRoom: that would be more than the capacity, or than the memory; the slab holds what it held.
        """
        if rows <= self._rows and columns <= self._columns:
            return
        if not self.would_fit(rows, columns):
            raise NoRoom
        ample = _rounded(int(columns * _GROWTH) if columns > self._columns else columns)
        wide = ample if self.would_fit(rows, ample) else columns
        # Rows come one by one: with no room to spare each of them would have the whole slab copied.
        more = -(-rows * 5 // 4) if rows > self._rows else rows
        self._resize(more if self.would_fit(more, wide) else rows, wide)

    def shrink(self) -> None:
        """Give back what the rows do not need."""
        rows, columns = max(self.rows, 1), max(self.longest, 1)
        if rows < self._rows or columns < self._columns:
            with contextlib.suppress(NoRoom):
                self._resize(min(rows, self._rows), min(columns, self._columns))

    def _resize(self, rows: int, columns: int) -> None:
        kept = len(self.running) + len(self.joining)
        deepest = max((place.length for place in (*self.running, *self.joining)), default=0)
        try:
            self._forward.resize(rows, columns, kept, deepest)
        except (RuntimeError, MemoryError) as error:
            raise_if_broken(error)
            # Some layers have the new size, others the old one: all of them have room for the smaller.
            self._rows, self._columns = min(rows, self._rows), min(columns, self._columns)
            if not is_out_of_memory(error):
                raise
            raise NoRoom(short=True) from error
        self._rows, self._columns = rows, columns

    def release(self) -> None:
        """Give the slab's memory back, when no row is left."""
        if self.size > _COLUMN_STEP:
            with contextlib.suppress(NoRoom):
                self._resize(1, _COLUMN_STEP)

    def join(self, places: list[Place]) -> None:
        """Take rows in, behind all others."""
        self.joining += places

    def settle(self) -> list[Place]:
        """Let the joining rows, whose prompts are computed, generate from now on."""
        settled, self.joining = self.joining, []
        self.running += settled
        return list(settled)

    def copy(self, source: int, twin: Place) -> None:
        """Let a twin of row `source` generate too; nothing joins at the moment, and its row is reserved."""
        self._forward.move(source, len(self.running), twin.length)
        self.running.append(twin)

    def part(self, place: Place) -> bool:
        """Take a row out that joins with others, and say whether it was one; the others join without it."""
        for leader in self.joining:
            if place in leader.twins:
                leader.twins.remove(place)
                return True
        if place not in self.joining or not place.twins:
            return False
        heir, *others = place.twins
        heir.length, heir.twins, place.twins = place.length, others, []
        self.joining[self.joining.index(place)] = heir
        return True

    def take_out(self, place: Place) -> None:
        """Close the gap that a row leaves, with the last rows of both ranges."""
        if place in self.running:
            self._fill(self.running, self.running.index(place), 0)
            gap = len(self.running)  # now the last running row's old place, before the joining ones
            if self.joining:
                last = self.joining.pop()
                self._forward.move(gap + 1 + len(self.joining), gap, last.length)
                self.joining.insert(0, last)
        elif place in self.joining:
            # It may hold what is no number, and that shows only with a prompt's last piece.
            self._forward.clear(self.index(place))
            self._fill(self.joining, self.joining.index(place), len(self.running))

    def index(self, place: Place) -> int:
        """Return the row of the slab."""
        if place in self.running:
            return self.running.index(place)
        return len(self.running) + self.joining.index(place)

    def _fill(self, places: list[Place], gap: int, first: int) -> None:
        last = places.pop()
        if gap < len(places):
            self._forward.move(first + len(places), first + gap, last.length)
            places[gap] = last


def _rounded(columns: int) -> int:
    return -(-columns // _COLUMN_STEP) * _COLUMN_STEP
