"""TransformersBatch: rows that join, generate and leave, on one slab. See engine.Batch.

Prompts are computed in pieces between the steps of the rows that generate already, so that a long prompt
holds nobody up for longer than one piece. Where the slab cannot grow, the youngest row is set back: what it
has so far is computed again when there is room, and its sampler goes on as if nothing had happened.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Mapping, Sequence

import torch

from inference_server.engine import KvUsage, NewRow, Outcome, Token
from inference_server.transformers_engine.asides import Asides
from inference_server.transformers_engine.failures import is_out_of_memory, raise_if_broken, too_large
from inference_server.transformers_engine.forward import Forward
from inference_server.transformers_engine.matcher import Matcher
from inference_server.transformers_engine.parts import Parts
from inference_server.transformers_engine.places import NoRoom, Place, Places
from inference_server.transformers_engine.room import Room
from inference_server.transformers_engine.sampler import RowSampler, sample

_HEADROOM = 64  # columns that every row should be able to grow by when another one is admitted


class TransformersBatch:
    """See engine.Batch.

    Args:
        parts: the loaded model.
        forward: its slab.
        asides: rows that the slab cannot serve: beams.
        capacity: how many tokens the slab may hold.
        piece_tokens: how many prompt tokens one step computes at most.
    """

    def __init__(
        self, parts: Parts, forward: Forward, asides: Asides, *, capacity: int, piece_tokens: int
    ) -> None:
        self._parts = parts
        self._forward = forward
        self._asides = asides
        self._room = Room(capacity, piece_tokens)
        self._places = Places(forward, capacity)
        self._pending: deque[Place] = deque()
        self._known: dict[int, Place] = {}
        self._order = itertools.count()
        self._stuck: Place | None = None  # a row that does not fit though it would be the only one
        self._short = False  # the memory did not hold what the capacity allows

    def check(self, row: NewRow) -> None:
        """Pass if this engine could generate `row`; see engine.Batch."""
        if self._asides.takes(row):
            self._asides.check(row)
        elif row.sampling.grammar is not None:
            self._matcher(row)

    def fits(self, row: NewRow) -> bool:
        """Say whether the slab has room for one more row; see engine.Batch."""
        if not self._known and not self._asides.count:
            return True
        if self._asides.takes(row):
            return self._asides.fits(row, self._room.tokens - self._slab_tokens(0, 0))
        return self._slab_tokens(1, len(row.prompt) + 1) + self._asides.tokens <= self._room.tokens

    def add(self, row: NewRow) -> None:
        """Take a row in; see engine.Batch."""
        if self._asides.takes(row):
            self._asides.add(row)
            return
        with self._parts.adapters.use([row.adapter]):
            pass  # an adapter that is gone by now fails here, and not in the step of all rows
        matcher = self._matcher(row) if row.sampling.grammar is not None else None
        sampler = RowSampler(row.sampling, row.prompt, self._parts.eos, matcher)
        place = Place(row, sampler, next(self._order), tokens=list(row.prompt))
        self._known[row.id] = place
        self._pending.append(place)

    def remove(self, row_id: int) -> None:
        """Forget a row; see engine.Batch."""
        self._asides.remove(row_id)
        place = self._known.pop(row_id, None)
        if place is None:
            return
        if place in self._pending:
            self._pending.remove(place)
        elif not self._places.part(place):
            self._places.take_out(place)
        if not self._known:
            self._places.release()
            self._room.emptied()

    def step(self) -> Mapping[int, Outcome]:
        """Compute once; see engine.Batch."""
        outcomes: dict[int, Outcome] = dict(self._asides.turn())
        self._room.regain(empty=not (self._places.rows or self._asides.count))
        self._limit_places()
        if self._places.running:
            outcomes |= self._compute_tokens()
        self._take_pending()
        if self._short:  # only now: rows that join know their places
            self._short = False
            self._too_little_memory()
        if self._stuck is not None:
            outcomes |= self._drop([self._stuck])
            self._stuck = None
        if self._places.joining:
            outcomes |= self._compute_prompts()
        return outcomes

    def usage(self) -> KvUsage:
        """Return how much of the slab's capacity is in use."""
        return KvUsage(self._places.used + self._asides.tokens, self._room.tokens)

    def _limit_places(self) -> None:
        """Leave the slab what the rows beside it do not need."""
        self._places.capacity = max(self._room.tokens - self._asides.tokens, 1)
        if self._places.size > self._places.capacity:
            self._places.shrink()

    def _too_little_memory(self) -> None:
        """Go on with less than the capacity. It comes back by and by: what was short may have been others."""
        self._places.shrink()
        self._room.cut(self._places.size + self._asides.tokens)
        self._limit_places()

    def _slab_tokens(self, more_rows: int, columns: int) -> int:
        """Return the tokens of a slab for all known rows and `more_rows` of so many columns."""
        rows = len(self._known) + more_rows
        pending = max((len(place.tokens) for place in self._pending), default=0)
        return rows * (max(self._places.longest, pending, columns) + _HEADROOM)

    def _take_pending(self) -> None:
        """Let pending rows join: as many as one piece holds, or one whose prompt takes several.

        Rows of one request have the same prompt: the first of them brings the others along.
        """
        if self._places.joining or not self._pending:
            return
        group: list[Place] = []
        width = 0
        while self._pending:
            place = self._pending[0]
            twin = next((other for other in group if other.same(place)), None)
            wider = max(width, place.missing)
            if twin is None and group and wider * (len(group) + 1) > self._room.piece_tokens:
                break
            apart = [*group, place] if twin is None else group
            if len({self._kind(other) for other in apart}) > 1:
                break
            rows = self._places.rows + sum(1 + len(other.twins) for other in group) + 1
            if not self._reserved(rows, max(len(place.tokens), width)):
                if not (group or self._places.running or self._asides.count):
                    self._stuck = place
                break
            self._pending.popleft()
            if twin is None:
                group.append(place)
                width = wider
            else:
                twin.twins.append(place)
        self._places.join(group)

    def _reserved(self, rows: int, longest: int) -> bool:
        """Make room for `rows` of which one has `longest` tokens, and others that run can grow beside it."""
        columns = max(self._places.longest, longest) + 1
        if self._places.running and not self._places.would_fit(rows, columns + _HEADROOM):
            return False  # it would be set back again at once, with all that was computed for it
        try:
            self._places.reserve(rows, columns)
        except NoRoom as full:
            self._short = full.short
            return False
        return True

    def _compute_prompts(self) -> dict[int, Outcome]:
        """Compute a piece of the joining rows' prompts, and their first token when that was the last one."""
        rows = self._places.joining
        start = rows[0].length
        length = min(max(place.missing for place in rows), self._room.piece_tokens)
        pieces = [place.piece(start, length, self._parts.pad) for place in rows]
        last = [min(place.missing, length) - 1 for place in rows]
        revisions = [place.new.adapter for place in rows]
        try:
            logits = self._forward.piece(len(self._places.running), start, pieces, revisions, last)
        except (RuntimeError, MemoryError) as error:
            raise_if_broken(error)
            if not is_out_of_memory(error):
                raise
            return self._piece_too_large(list(rows))
        for place in rows:
            place.length = min(start + length, len(place.tokens))
        if any(place.missing for place in rows):
            return {}
        return self._settle(logits)

    def _settle(self, logits: torch.Tensor) -> dict[int, Outcome]:
        """Let the joining rows generate, their twins too, which get copies of what was computed."""
        first = len(self._places.running)
        settled = self._places.settle()
        index = list(range(len(settled)))
        for leader in range(len(settled)):
            for twin in settled[leader].twins:
                twin.length = settled[leader].length
                self._places.copy(first + leader, twin)
                settled.append(twin)
                index.append(leader)
            settled[leader].twins = []
        return self._choose(settled, logits[index])

    def _compute_tokens(self) -> dict[int, Outcome]:
        """Compute one token for every running row."""
        while rows := list(self._places.running):
            logits = self._attempt(rows)
            if logits is not None:
                for place in rows:
                    place.length += 1
                return self._choose(rows, logits)
            if self._places.rows == 1 and not self._asides.count:
                return self._drop(rows)
            self._set_back(max((*rows, *self._places.joining), key=lambda place: place.order))
        return {}

    def _attempt(self, rows: Sequence[Place]) -> torch.Tensor | None:
        """Return the logits of all `rows`; None when there is too little memory for them together."""
        try:
            self._places.reserve(self._places.rows, self._places.longest)
            logits = [self._column(first, run) for first, run in self._runs(rows)]
        except NoRoom as full:
            if full.short:
                self._too_little_memory()
            return None
        except (RuntimeError, MemoryError) as error:
            raise_if_broken(error)
            if not is_out_of_memory(error):
                raise
            self._too_little_memory()
            return None
        return torch.cat(logits) if len(logits) > 1 else logits[0]

    def _column(self, first: int, run: Sequence[Place]) -> torch.Tensor:
        tokens = [place.tokens[-1] for place in run]
        lengths = [place.length for place in run]
        return self._forward.column(first, tokens, lengths, [place.new.adapter for place in run])

    def _runs(self, rows: Sequence[Place]) -> list[tuple[int, list[Place]]]:
        """Split rows into those that one forward can compute, with the first row of each."""
        runs: list[tuple[int, list[Place]]] = []
        for _, group in itertools.groupby(enumerate(rows), key=lambda pair: self._kind(pair[1])):
            members = list(group)
            runs.append((members[0][0], [place for _, place in members]))
        return runs

    def _kind(self, place: Place) -> str:
        """Return what rows of one forward must have in common: an adapter that allows no others, or ''."""
        revision = place.new.adapter
        return revision if self._parts.adapters.exclusive(revision) else ""

    def _choose(self, rows: Sequence[Place], logits: torch.Tensor) -> dict[int, Outcome]:
        outcomes = sample(logits, [place.sampler for place in rows])
        for place, outcome in zip(rows, outcomes, strict=True):
            if isinstance(outcome, Token):
                place.tokens.append(outcome.id)
            else:
                # It may hold what is no number: a row that takes its place must not meet that.
                self._forward.clear(self._places.index(place))
                self.remove(place.new.id)
        return {place.new.id: outcome for place, outcome in zip(rows, outcomes, strict=True)}

    def _set_back(self, place: Place) -> None:
        """Set a row back, with those that join with it: it is computed again when there is room."""
        self._places.take_out(place)
        for one in sorted([place, *place.twins], key=lambda one: -one.order):
            one.length, one.twins = 0, []
            self._pending.appendleft(one)

    def _piece_too_large(self, joining: list[Place]) -> dict[int, Outcome]:
        """Try joining rows again with smaller pieces, or when other rows are over; else end them."""
        smaller = self._room.halve_piece()
        if smaller and len(joining) == 1:
            return {}
        if not (smaller or self._places.running or self._asides.count):
            return self._drop(joining)
        for place in sorted(joining, key=lambda place: -place.order):
            self._set_back(place)
        if not smaller:
            self._too_little_memory()
        return {}

    def _drop(self, rows: Sequence[Place]) -> dict[int, Outcome]:
        """End rows for which there is too little memory even by themselves."""
        everyone = [place for row in rows for place in (row, *row.twins)]
        for place in everyone:
            self.remove(place.new.id)
        return {place.new.id: too_large(len(place.new.prompt)) for place in everyone}

    def _matcher(self, row: NewRow) -> Matcher:
        grammar = row.sampling.grammar
        assert grammar is not None  # noqa: S101 - asked by the callers
        parts = self._parts
        return Matcher(grammar, parts.tokenizer.library, parts.vocabulary_size, parts.eos)
