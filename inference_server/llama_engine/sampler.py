"""From logits to a token, for one row by its own rules.

The order is that of the transformers engine: what a grammar forbids, biases and penalties, bans, then
temperature, top_k, top_p, min_p, typical_p. llama.cpp's own samplers do the part from the temperature on. The
part before is done here: its sampler of penalties counts the prompt for all three penalties, the library of
the other engine for the repetition penalty alone, and an answer should not depend on the engine.
"""

from __future__ import annotations

import ctypes
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import llama_cpp
import numpy as np
import numpy.typing as npt

from inference_server.engine import Outcome, Sampling, Token
from inference_server.errors import BadRequest, InternalError, RequestError

if TYPE_CHECKING:
    from inference_server.llama_engine.decoder import Decoder, Floats
    from inference_server.llama_engine.matcher import Matcher

_NO_NUMBERS = "the model's result is not a number for this prompt; send another one"
_TOO_FAR = "the penalties of this request are too far from 1 to compute with"
_NOTHING_LEFT = "the rules of this request leave no token to choose; loosen logit_bias or the schema"
_COLDEST = 1e-6  # below this temperature only the likeliest token is ever drawn
_RANDOM = 0xFFFF_FFFF  # the seed by which llama.cpp takes one of its own


class Candidates:
    """Room for the tokens that one row chooses from, in llama.cpp's layout. All rows share it in turn."""

    def __init__(self, vocabulary_size: int) -> None:
        layout = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
        self._data = np.zeros(vocabulary_size, layout)
        item = dict(llama_cpp.llama_token_data_array._fields_)["data"]
        self._array = llama_cpp.llama_token_data_array(
            data=ctypes.cast(self._data.ctypes.data, item), size=0, selected=-1, sorted=False
        )

    def draw(self, chain: Any, scores: Floats) -> int:  # noqa: ANN401 - the library has no types
        """Let `chain` choose among the tokens whose score is a number: its samplers trip over -inf."""
        ids = np.flatnonzero(scores > -math.inf)
        count = len(ids)
        self._data["id"][:count] = ids
        self._data["logit"][:count] = scores[ids]
        self._array.size, self._array.selected, self._array.sorted = count, -1, False
        llama_cpp.llama_sampler_apply(chain, ctypes.byref(self._array))
        return int(self._array.data[self._array.selected].id)


class RowSampler:
    """How one row chooses its tokens, with what it has to remember for it. close() gives memory back."""

    def __init__(
        self, sampling: Sampling, prompt: Sequence[int], eos: Sequence[int], matcher: Matcher | None
    ) -> None:
        self.sampling = sampling
        self._matcher = matcher
        self._eos = frozenset(() if sampling.ignore_eos else sampling.eos_token_ids or eos)
        self._banned = np.array(sorted(sampling.eos_token_ids or eos), np.int64)
        self._bias_ids = np.array(list(sampling.logit_bias), np.int64)
        self._biases = np.array(list(sampling.logit_bias.values()), np.float32)
        self._new = 0
        self._counts: Counter[int] = Counter()
        self._seen = set(prompt) if sampling.repetition_penalty != 1 else set()
        self._ngrams = _Ngrams(sampling.no_repeat_ngram_size, prompt)
        self._chain: Any = _chain(sampling) if sampling.do_sample else None

    @property
    def _plain(self) -> bool:
        """Say whether the logits are taken as they are."""
        s = self.sampling
        return not (
            self._matcher
            or s.logit_bias
            or s.presence_penalty
            or s.frequency_penalty
            or s.repetition_penalty != 1
            or s.no_repeat_ngram_size
            or s.ignore_eos
            or s.min_new_tokens > self._new
        )

    def close(self) -> None:
        """Free llama.cpp's part."""
        if self._chain is not None:
            llama_cpp.llama_sampler_free(self._chain)
            self._chain = None

    def choose(
        self, logits: Floats, likeliest: int, decoder: Decoder, output: int, room: Candidates
    ) -> Outcome:
        """Choose a token.

        Args:
            logits: (vocabulary), the model's own; not changed.
            likeliest: the token with the largest of them.
            decoder: what computed them.
            output: as which of its outputs.
            room: for candidates.

        Returns:
            The token, or the error of this row alone.
        """
        if not math.isfinite(float(logits[likeliest])):
            return InternalError(_NO_NUMBERS)
        try:
            logprobs = _log_softmax(logits) if self.sampling.logprobs is not None else None
            if not self._plain:
                token_id = self._choose_by_rules(logits.copy(), room)
            elif self._chain is None:
                token_id = likeliest
            else:
                place = decoder.place_of(output)
                token_id = int(llama_cpp.llama_sampler_sample(self._chain, decoder.handle, place))
            return self._accept(token_id, logprobs)
        except RequestError as error:
            return error

    def _choose_by_rules(self, scores: Floats, room: Candidates) -> int:
        self._process(scores)
        likeliest = int(scores.argmax())
        best = float(scores[likeliest])
        if best == -math.inf:
            raise BadRequest(_NOTHING_LEFT)
        if not math.isfinite(best):
            raise BadRequest(_TOO_FAR)
        return likeliest if self._chain is None else room.draw(self._chain, scores)

    def _process(self, scores: Floats) -> None:
        """Apply the rules that come before the temperature to scores of shape (vocabulary), in place."""
        s = self.sampling
        if self._matcher is not None:
            self._matcher.mask(scores)
        if len(self._bias_ids):
            scores[self._bias_ids] += self._biases
        if (s.presence_penalty or s.frequency_penalty) and self._counts:
            ids = np.fromiter(self._counts, np.int64, len(self._counts))
            counts = np.fromiter(self._counts.values(), np.float32, len(self._counts))
            scores[ids] -= s.presence_penalty + s.frequency_penalty * counts
        if self._seen:
            ids = np.fromiter(self._seen, np.int64, len(self._seen))
            found = scores[ids]
            scores[ids] = np.where(found < 0, found * s.repetition_penalty, found / s.repetition_penalty)
        banned = self._ngrams.banned()
        if banned:
            scores[list(banned)] = -math.inf
        if len(self._banned) and (s.min_new_tokens > self._new or s.ignore_eos):
            self._ban_the_end(scores)

    def _ban_the_end(self, scores: Floats) -> None:
        ends = scores[self._banned]
        scores[self._banned] = -math.inf
        # What is complete by its grammar ends: nothing else may follow.
        if self._matcher is not None and scores.max() == -math.inf:
            scores[self._banned] = ends

    def _accept(self, token_id: int, logprobs: Floats | None) -> Token:
        self._new += 1
        self._counts[token_id] += 1
        if self.sampling.repetition_penalty != 1:
            self._seen.add(token_id)
        self._ngrams.push(token_id)
        is_end = token_id in self._eos
        if self._matcher is not None:
            self._matcher.accept(token_id)
            is_end = is_end or token_id in self._matcher.ends
        if logprobs is None:
            return Token(token_id, is_end)
        top = _largest(logprobs, self.sampling.logprobs or 0)
        pairs = tuple((int(index), float(logprobs[index])) for index in top)
        return Token(token_id, is_end, float(logprobs[token_id]), pairs)


class _Ngrams:
    """Which tokens would repeat `size` tokens of a row; 0: none is kept from it."""

    def __init__(self, size: int, tokens: Sequence[int]) -> None:
        self._size = size
        self._followers: defaultdict[tuple[int, ...], set[int]] = defaultdict(set)
        self._last: tuple[int, ...] = ()
        for token_id in tokens if size else ():
            self.push(token_id)

    def push(self, token_id: int) -> None:
        """Go on by one token."""
        if not self._size:
            return
        if len(self._last) == self._size - 1:
            self._followers[self._last].add(token_id)
        self._last = (*self._last, token_id)[1 - self._size :] if self._size > 1 else ()

    def banned(self) -> set[int]:
        """Return the tokens that may not come next."""
        if not self._size or len(self._last) < self._size - 1:
            return set()
        return self._followers.get(self._last, set())


def _chain(s: Sampling) -> Any:  # noqa: ANN401 - the library has no types
    """Make llama.cpp's samplers for a row that draws."""
    parameters = llama_cpp.llama_sampler_chain_default_params()
    parameters.no_perf = True
    chain = llama_cpp.llama_sampler_chain_init(parameters)
    samplers = [llama_cpp.llama_sampler_init_temp(max(s.temperature, _COLDEST))]
    if s.top_k:
        samplers.append(llama_cpp.llama_sampler_init_top_k(s.top_k))
    if s.top_p < 1:
        samplers.append(llama_cpp.llama_sampler_init_top_p(s.top_p, 1))
    if s.min_p > 0:
        samplers.append(llama_cpp.llama_sampler_init_min_p(s.min_p, 1))
    if s.typical_p < 1:
        samplers.append(llama_cpp.llama_sampler_init_typical(s.typical_p, 1))
    # Any whole number is a seed here, llama.cpp has 32 bits.
    seed = _RANDOM if s.seed is None else s.seed % _RANDOM
    for sampler in (*samplers, llama_cpp.llama_sampler_init_dist(seed)):
        llama_cpp.llama_sampler_chain_add(chain, sampler)
    return chain


def _log_softmax(logits: Floats) -> Floats:
    shifted = logits - logits.max()
    result: Floats = shifted - np.log(np.exp(shifted).sum())
    return result


def _largest(values: Floats, count: int) -> npt.NDArray[np.intp]:
    """Return the places of the `count` largest values, the largest first."""
    if not count:
        return np.empty(0, np.intp)
    count = min(count, len(values))
    found = np.argpartition(values, -count)[-count:]
    return found[np.argsort(-values[found], kind="stable")]
