"""LlamaBatch: the rows that are generated together in llama.cpp's context.

One step is one decode: a token of every row that generates, and pieces of the prompts of new rows beside it.
Where the memory of keys and values has no room, the youngest row is set back: what it has so far is computed
again when there is room, and its sampler goes on as if nothing had happened.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field

from inference_server.engine import BASE, KvUsage, NewRow, Outcome, Token
from inference_server.errors import BadRequest, OutOfMemory
from inference_server.llama_engine.decoder import Decoder, NoSlot
from inference_server.llama_engine.matcher import Matchers
from inference_server.llama_engine.model import GgufModel
from inference_server.llama_engine.sampler import Candidates, RowSampler

_HEADROOM = 64  # tokens that every row should be able to grow by when another one is admitted
_GROWTH = 16  # the same, before a row that is in the batch is begun
_LEAST_PIECE = 32  # prompt tokens
_PATIENCE_S = 0.5  # so long the rows that generate may wait for a piece of a prompt


@dataclass
class _Place:
    """A row: all its tokens, the generated ones too, and how many of them are in the memory."""

    row: NewRow
    sampler: RowSampler
    sequence: int
    order: int
    tokens: list[int]
    length: int = 0
    prompt: int = field(init=False)

    def __post_init__(self) -> None:
        self.prompt = len(self.row.prompt)

    @property
    def missing(self) -> int:
        return len(self.tokens) - self.length

    @property
    def generates(self) -> bool:
        """Say whether all but the last of its own tokens are in the memory."""
        return len(self.tokens) > self.prompt and self.missing == 1


@dataclass
class _Part:
    """What one step computes of a row: so many tokens. `gives`: then its next token can be chosen.

    `twins` are rows with the very same tokens, of which nothing is computed yet.
    """

    place: _Place
    count: int
    gives: bool = False
    twins: list[_Place] = field(default_factory=list)


class LlamaBatch:
    """See engine.Batch."""

    def __init__(
        self,
        model: GgufModel,
        decoder: Decoder,
        eos: tuple[int, ...],
        matchers: Matchers,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._decoder = decoder
        self._eos = eos
        self._matchers = matchers
        self._clock = clock
        self._candidates = Candidates(model.vocabulary_size)
        # A prefix of a sequence is its first keys and values only where a model keeps nothing else.
        self._shares_prefixes = not model.keeps_more
        self._places: dict[int, _Place] = {}  # by row, in the order in which they are computed
        self._free = list(range(decoder.sequences))
        self._order = itertools.count()
        self._piece = decoder.piece_tokens
        self._used = 0

    def check(self, row: NewRow) -> None:
        """Pass if this engine could generate `row`; see engine.Batch."""
        if row.sampling.num_beams > 1:
            raise BadRequest(
                "this model runs with llama.cpp, which has no beam search; send num_beams 1, "
                "or serve the model with --engine transformers"
            )
        if row.adapter != BASE:
            raise BadRequest(
                "this model runs with llama.cpp, which takes no adapters here; name the base model"
            )
        if row.sampling.grammar is not None:
            self._matchers.make(row.sampling.grammar)

    def fits(self, row: NewRow) -> bool:
        """Say whether the memory has room for one more row; see engine.Batch."""
        if not self._places:
            return True
        if not self._free:
            return False
        known = any(place.row.group == row.group for place in self._places.values())
        needed = _HEADROOM + (0 if known and self._shares_prefixes else len(row.prompt))
        reserved = _tokens(self._places.values()) + _HEADROOM * len(self._places)
        return reserved + needed <= self._decoder.tokens

    def add(self, row: NewRow) -> None:
        """Take a row in; see engine.Batch."""
        grammar = row.sampling.grammar
        matcher = self._matchers.make(grammar) if grammar is not None else None
        sampler = RowSampler(row.sampling, row.prompt, self._eos, matcher)
        self._places[row.id] = _Place(row, sampler, self._free.pop(), next(self._order), [*row.prompt])

    def remove(self, row_id: int) -> None:
        """Forget a row; see engine.Batch."""
        place = self._places.pop(row_id, None)
        if place is None:
            return
        self._decoder.clear(place.sequence)
        self._free.append(place.sequence)
        place.sampler.close()
        self._count()

    def step(self) -> Mapping[int, Outcome]:
        """Compute once; see engine.Batch."""
        barred: set[int] = set()
        while plan := self._fill(barred):
            started = self._clock()
            try:
                self._decoder.decode()
            except NoSlot:
                if (stuck := self._set_back_youngest(plan, barred)) is not None:
                    return {stuck.row.id: self._drop(stuck)}
                continue
            self._learn(plan, self._clock() - started)
            return self._choose(plan)
        return {}

    def usage(self) -> KvUsage:
        """Return how much of the memory is in use."""
        return KvUsage(self._used, self._decoder.tokens)

    def _fill(self, barred: Set[int]) -> list[_Part]:
        """Put into the decoder's batch what one step computes: a token of each row, pieces of new ones."""
        self._decoder.begin()
        plan: list[_Part] = []
        for place in self._places.values():
            if place.generates and place.row.id not in barred:
                self._decoder.put(place.sequence, place.length, place.tokens[-1:], wanted=True)
                plan.append(_Part(place, 1, gives=True))
        room = self._piece if plan else self._decoder.piece_tokens
        for place, twins in self._joining(barred):
            if not room or not self._may_begin(place, plan):
                break  # in order: a large row at the front is not overtaken, or it might wait for ever
            self._copy_prefix(place)
            part = _Part(place, min(place.missing, room), twins=twins)
            part.gives = part.count == place.missing
            tokens = place.tokens[place.length : place.length + part.count]
            self._decoder.put(place.sequence, place.length, tokens, wanted=part.gives)
            plan.append(part)
            room -= part.count
        return plan

    def _joining(self, barred: Set[int]) -> Iterator[tuple[_Place, list[_Place]]]:
        """Give the rows of which more than one token is to be computed, each with those that are like it.

        Rows of one request have the same prompt: it is computed for the first of them.
        """
        joining = [p for p in self._places.values() if not p.generates and p.row.id not in barred]
        taken: set[int] = set()
        for index, place in enumerate(joining):
            if place.row.id in taken:
                continue
            twins = [other for other in joining[index + 1 :] if not other.length and _same(place, other)]
            taken.update(other.row.id for other in twins)
            yield place, twins

    def _may_begin(self, place: _Place, plan: Sequence[_Part]) -> bool:
        """Say whether the memory has room for all of a row, once those before it are in."""
        if place.length:
            return True
        others = {id(part.place): part.place for part in plan}
        others |= {id(other): other for other in self._places.values() if other.length}
        reserved = _tokens([*others.values(), place]) + _GROWTH * len(others)
        return not others or reserved < self._decoder.tokens

    def _copy_prefix(self, place: _Place) -> None:
        """Take over the prompt from a row of the same request that has computed it already."""
        if place.length or not self._shares_prefixes:
            return
        end = min(place.prompt, len(place.tokens) - 1)  # the last token is computed, for its logits
        for other in self._places.values():
            if end and other.row.group == place.row.group and other.length >= end and other is not place:
                self._decoder.copy(other.sequence, place.sequence, end)
                place.length = end
                return

    def _set_back_youngest(self, plan: Sequence[_Part], barred: set[int]) -> _Place | None:
        """Take the youngest row out of the memory, until a later step; return a row that is the only one."""
        held = {part.place.row.id: part.place for part in plan}
        held |= {row_id: place for row_id, place in self._places.items() if place.length}
        youngest = max(held.values(), key=lambda place: place.order)
        if len(held) == 1:
            return youngest
        self._decoder.clear(youngest.sequence)
        youngest.length = 0
        barred.add(youngest.row.id)
        return None

    def _drop(self, place: _Place) -> OutOfMemory:
        """End a row for which there is too little memory even by itself."""
        self.remove(place.row.id)
        return OutOfMemory(
            f"not enough memory for a prompt of {place.prompt} tokens and its answer; send less",
            retry_after_s=5,
        )

    def _learn(self, plan: Sequence[_Part], seconds: float) -> None:
        """Choose how long the next pieces of prompts are, so that nobody waits long for them."""
        pieces = [part.count for part in plan if part.count > 1]
        if sum(pieces) < _LEAST_PIECE:
            return
        fitting = max(_PATIENCE_S * sum(pieces) / max(seconds, 1e-6), _LEAST_PIECE)
        # Powers of two, for few different sizes: rounding depends on where a prompt is cut.
        self._piece = min(2 ** int(math.log2(fitting)), self._decoder.piece_tokens)

    def _choose(self, plan: Sequence[_Part]) -> dict[int, Outcome]:
        """Choose the next token of each row whose tokens are all computed now."""
        for part in plan:
            part.place.length += part.count
        outcomes: dict[int, Outcome] = {}
        if outputs := [part for part in plan if part.gives]:
            logits = self._decoder.logits()
            likeliest = logits.argmax(axis=1).tolist()
            for output, part in enumerate(outputs):
                for place in self._together(part):
                    outcomes[place.row.id] = place.sampler.choose(
                        logits[output], likeliest[output], self._decoder, output, self._candidates
                    )
        for row_id, outcome in outcomes.items():
            if isinstance(outcome, Token):
                self._places[row_id].tokens.append(outcome.id)
            else:
                self.remove(row_id)
        self._count()
        return outcomes

    def _together(self, part: _Part) -> list[_Place]:
        """Return the rows that part's logits are for, with what was computed copied to each."""
        for twin in part.twins:
            self._decoder.copy(part.place.sequence, twin.sequence)
            twin.length = part.place.length
        return [part.place, *part.twins]

    def _count(self) -> None:
        self._used = _tokens(self._places.values(), computed=True)


def _same(one: _Place, other: _Place) -> bool:
    return one.row.group == other.row.group and one.tokens == other.tokens


def _tokens(places: Iterable[_Place], *, computed: bool = False) -> int:
    """Add up the tokens of rows, or those in the memory; rows of one request have their prompt once."""
    prompts: dict[int, int] = {}
    own = 0
    for place in places:
        length = place.length if computed else len(place.tokens)
        shared = min(length, place.prompt)
        own += length - shared
        prompts[place.row.group] = max(prompts.get(place.row.group, 0), shared)
    return own + sum(prompts.values())
