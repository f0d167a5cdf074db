"""From logits to tokens: each row by its own rules. Rows with the same simple rules are done together.

The order of the rules is that of the library's generate(): penalties and bans, temperature, top_k, top_p,
min_p, typical_p. What a grammar forbids is taken out first.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformers.generation.logits_process import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TypicalLogitsWarper,
)

from inference_server.engine import Outcome, Sampling, Token
from inference_server.errors import BadRequest, InternalError, RequestError
from inference_server.transformers_engine.history import History

if TYPE_CHECKING:
    from inference_server.transformers_engine.matcher import Matcher

_FIRST_LOOK = 1024  # so many of the likeliest tokens nearly always hold top_p: sorting all of them is slow
_COLDEST = 1e-6  # below this temperature only the likeliest token is ever drawn
_NO_NUMBERS = "the model's result is not a number for this prompt; send another one, or use a wider dtype"


class RowSampler:
    """How one row chooses its tokens, with what it has to remember for it."""

    def __init__(
        self,
        sampling: Sampling,
        prompt: Sequence[int],
        eos: Sequence[int],
        matcher: Matcher | None,
    ) -> None:
        self.sampling = sampling
        self.matcher = matcher
        self.eos = frozenset(() if sampling.ignore_eos else sampling.eos_token_ids or eos)
        self.banned = sorted(sampling.eos_token_ids or eos)
        self.new = 0
        self._history = History(prompt, sampling.max_new_tokens)
        self._counts: Counter[int] = Counter()
        self._bias: tuple[torch.Tensor, torch.Tensor] | None = None
        self._generator: torch.Generator | None = None

    @property
    def plain(self) -> bool:
        """Say whether the logits are taken as they are, so that rows can be done together."""
        s = self.sampling
        return not (
            s.repetition_penalty != 1
            or s.no_repeat_ngram_size
            or self.matcher
            or s.logprobs is not None
            or s.logit_bias
            or s.presence_penalty
            or s.frequency_penalty
            or (s.min_new_tokens > self.new and self.banned)
            or (s.ignore_eos and self.banned)
        )

    @property
    def shared(self) -> bool:
        """Say whether a plain row that draws can do so together with others."""
        s = self.sampling
        return s.seed is None and s.typical_p >= 1 and s.min_p <= 0

    def generator(self, device: torch.device) -> torch.Generator | None:
        """Return the row's own generator, None without a seed; `device` is that of the probabilities."""
        if self.sampling.seed is None:
            return None
        if self._generator is None:
            self._generator = torch.Generator(device)
            self._generator.manual_seed(self.sampling.seed)
        return self._generator

    def process(self, scores: torch.Tensor) -> torch.Tensor:
        """Apply the rules that come before the temperature to scores of shape (1, vocabulary)."""
        s = self.sampling
        if self.matcher is not None:
            scores = self.matcher.mask(scores)
        if s.logit_bias:
            index, values = self._biases(scores)
            scores[0, index] += values
        if (s.presence_penalty or s.frequency_penalty) and self._counts:
            index = torch.tensor(list(self._counts), device=scores.device)
            counts = torch.tensor(list(self._counts.values()), device=scores.device, dtype=scores.dtype)
            scores[0, index] -= s.presence_penalty + s.frequency_penalty * counts
        if s.repetition_penalty != 1:
            penalty: Any = RepetitionPenaltyLogitsProcessor(s.repetition_penalty)
            scores = penalty(self._history.tensor(scores.device), scores)
        if s.no_repeat_ngram_size and (repeated := self._history.repeating(s.no_repeat_ngram_size)):
            scores[0, repeated] = -math.inf
        if self.banned and (s.min_new_tokens > self.new or s.ignore_eos):
            self._ban_the_end(scores)
        return scores

    def _ban_the_end(self, scores: torch.Tensor) -> None:
        ends = scores[0, self.banned]
        scores[0, self.banned] = -math.inf
        # What is complete by its grammar ends: nothing else may follow.
        if self.matcher is not None and bool(torch.isneginf(scores.amax())):
            scores[0, self.banned] = ends

    def _biases(self, scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the ids of logit_bias and what is added to each."""
        if self._bias is None:
            items, device = self.sampling.logit_bias, scores.device
            values = torch.tensor(list(items.values()), device=device, dtype=scores.dtype)
            self._bias = (torch.tensor(list(items), device=device), values)
        return self._bias

    def accept(self, token_id: int, logprobs: torch.Tensor | None) -> Token:
        """Remember a chosen token, and describe it; `logprobs` are those of the whole vocabulary."""
        self._history.append(token_id)
        self.new += 1
        self._counts[token_id] += 1
        is_end = token_id in self.eos
        if self.matcher is not None:
            self.matcher.accept(token_id)
            is_end = is_end or token_id in self.matcher.ends
        if logprobs is None:
            return Token(token_id, is_end)
        count = self.sampling.logprobs or 0
        top = torch.topk(logprobs, count) if count else None
        pairs = zip(top.indices.tolist(), top.values.tolist(), strict=True) if top else ()
        return Token(token_id, is_end, float(logprobs[token_id]), tuple(pairs))


def sample(logits: torch.Tensor, rows: Sequence[RowSampler]) -> list[Outcome]:
    """Choose one token for every row.

    Args:
        logits: (rows, vocabulary), of any floating type.
        rows: their samplers, which remember what was chosen.

    Returns:
        A token, or the error of this row alone, in the order of `rows`.
    """
    scores = logits.float()
    outcomes: list[Outcome] = [InternalError(_NO_NUMBERS)] * len(rows)
    greedy, shared, alone = _sorted(rows, torch.isfinite(scores.amax(-1)).tolist())
    if greedy:
        chosen = scores[greedy].argmax(-1) if len(greedy) < len(rows) else scores.argmax(-1)
        for index, token_id in zip(greedy, chosen.tolist(), strict=True):
            outcomes[index] = rows[index].accept(token_id, None)
    if shared:
        drawn = _draw_together(scores[shared], [rows[index].sampling for index in shared])
        for index, token_id in zip(shared, drawn, strict=True):
            outcomes[index] = rows[index].accept(token_id, None)
    for index in alone:
        outcomes[index] = _one(scores[index : index + 1], rows[index])
    return outcomes


def _sorted(rows: Sequence[RowSampler], sound: Sequence[bool]) -> tuple[list[int], list[int], list[int]]:
    """Return the rows that are greedy, that draw together, and that have their own rules: `sound` ones."""
    greedy: list[int] = []
    shared: list[int] = []
    alone: list[int] = []
    for index, row in enumerate(rows):
        if not sound[index]:
            continue
        if row.plain and not row.sampling.do_sample:
            greedy.append(index)
        elif row.plain and row.shared:
            shared.append(index)
        else:
            alone.append(index)
    return greedy, shared, alone


def _one(scores: torch.Tensor, row: RowSampler) -> Outcome:
    try:
        s = row.sampling
        logprobs = torch.log_softmax(scores[0], -1) if s.logprobs is not None else None
        processed = row.process(scores.clone())
        best = float(processed.amax())
        if best == -math.inf:
            return BadRequest(
                "the rules of this request leave no token to choose; loosen logit_bias or the schema"
            )
        if not math.isfinite(best):
            return BadRequest("the penalties of this request are too far from 1 to compute with")
        if not s.do_sample:
            return row.accept(int(processed.argmax()), logprobs)
        probabilities, tokens = _distribution(_tempered(processed, [s]), s)
        drawn = int(torch.multinomial(probabilities[0], 1, generator=row.generator(processed.device)))
        return row.accept(drawn if tokens is None else int(tokens[0, drawn]), logprobs)
    except RequestError as error:
        return error


def _distribution(scores: torch.Tensor, s: Sampling) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return probabilities (1, n) and the ids of these tokens, None where they are the whole vocabulary."""
    tokens: torch.Tensor | None = None
    if s.top_k and s.top_k < scores.shape[-1]:
        scores, tokens = torch.topk(scores, s.top_k)
    if s.top_p < 1:
        scores, tokens = _top_p(scores, tokens, s.top_p)
    ids: Any = None
    if s.min_p > 0:
        scores = MinPLogitsWarper(s.min_p)(ids, scores)
    if s.typical_p < 1:
        scores = TypicalLogitsWarper(s.typical_p)(ids, scores)
    return torch.softmax(scores, -1), tokens


def _top_p(
    scores: torch.Tensor, tokens: torch.Tensor | None, top_p: float
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Keep the likeliest tokens whose probabilities add up to `top_p`, the one that crosses it included."""
    probabilities = torch.softmax(scores, -1)
    count = min(_FIRST_LOOK, scores.shape[-1])
    values, index = torch.topk(probabilities, count)
    before = values.cumsum(-1) - values
    if count < scores.shape[-1] and float(before[0, -1]) < top_p:
        values, index = torch.sort(probabilities, descending=True)
        before = values.cumsum(-1) - values
    kept = before < top_p
    kept[..., 0] = True  # however small top_p is
    picked = torch.where(kept, scores.gather(-1, index), -math.inf)
    return picked, index if tokens is None else tokens.gather(-1, index)


def _tempered(scores: torch.Tensor, samplings: Sequence[Sampling]) -> torch.Tensor:
    """Divide by each row's temperature. The likeliest is at 0 then: nothing becomes infinite."""
    temperatures = [[max(s.temperature, _COLDEST)] for s in samplings]
    return (scores - scores.amax(-1, keepdim=True)) / torch.tensor(temperatures, device=scores.device)


def _draw_together(scores: torch.Tensor, samplings: Sequence[Sampling]) -> list[int]:
    """Draw for rows that differ only in temperature, top_k and top_p, with the process's own generator."""
    vocabulary = scores.shape[-1]
    scores = _tempered(scores, samplings)
    drawn = [-1] * len(samplings)
    kinds: dict[str, list[int]] = {"all": [], "few": []}
    for index, s in enumerate(samplings):
        limited = 0 < s.top_k < vocabulary
        if not limited and s.top_p >= 1:
            kinds["all"].append(index)
        elif not limited or s.top_k <= _FIRST_LOOK:
            kinds["few"].append(index)
    for kind, draw in (("all", _draw_from_all), ("few", _draw_from_few)):
        if kinds[kind]:
            found = draw(scores[kinds[kind]], [samplings[index] for index in kinds[kind]])
            for index, token_id in zip(kinds[kind], found, strict=True):
                drawn[index] = token_id
    # What is left needs most of the vocabulary sorted.
    return [
        token_id if token_id >= 0 else _draw_one(scores[index : index + 1], samplings[index])
        for index, token_id in enumerate(drawn)
    ]


def _draw_from_all(scores: torch.Tensor, _: Sequence[Sampling]) -> list[int]:
    drawn = torch.multinomial(torch.softmax(scores, -1), 1)
    return [int(value) for value in drawn[:, 0].tolist()]


def _draw_from_few(scores: torch.Tensor, samplings: Sequence[Sampling]) -> list[int]:
    """Draw from the likeliest tokens of each row; -1 where these are too few for its top_p."""
    device, vocabulary = scores.device, scores.shape[-1]
    limits = [s.top_k if 0 < s.top_k < vocabulary else vocabulary for s in samplings]
    count = min(max(limits), _FIRST_LOOK, vocabulary)
    values, tokens = torch.topk(scores, count)
    limit = torch.tensor([[value] for value in limits], device=device)
    values = values.masked_fill(torch.arange(count, device=device)[None] >= limit, -math.inf)
    # top_p is a part of what top_k leaves, or of the whole vocabulary.
    left = torch.where(limit > count, scores.logsumexp(-1, keepdim=True), values.logsumexp(-1, keepdim=True))
    probabilities = torch.exp(values - left)
    top_p = torch.tensor([[s.top_p if s.top_p < 1 else 2.0] for s in samplings], device=device)
    keep = probabilities.cumsum(-1) - probabilities < top_p
    keep[:, 0] = True  # however small top_p is
    enough = (limit <= count) | (probabilities.sum(-1, keepdim=True) >= top_p)
    drawn = tokens.gather(-1, torch.multinomial(probabilities * keep, 1))
    return [int(value) for value in torch.where(enough, drawn, -1)[:, 0].tolist()]


def _draw_one(scores: torch.Tensor, s: Sampling) -> int:
    probabilities, tokens = _distribution(scores, s)
    drawn = int(torch.multinomial(probabilities[0], 1))
    return drawn if tokens is None else int(tokens[0, drawn])
