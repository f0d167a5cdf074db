"""Matcher: a grammar's say in each token of one row, through llguidance on llama.cpp's vocabulary."""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import llguidance.numpy
import numpy as np
from llguidance import LLMatcher
from llguidance.llamacpp import lltokenizer_from_vocab

from inference_server.engine import Grammar
from inference_server.grammar import compile_grammar, unusable

if TYPE_CHECKING:
    from inference_server.llama_engine.decoder import Floats
    from inference_server.llama_engine.model import GgufModel

_KEPT = 32  # compiled grammars; a request asks several times for the same one


class Matchers:
    """Makes matchers for one model. llguidance's view of its vocabulary takes a second to make.

    `ends` are the model's end tokens, the usual one first. May be called from any thread.
    """

    def __init__(self, model: GgufModel, ends: Sequence[int]) -> None:
        self._model = model
        self._ends = tuple(ends)
        self._compiled = functools.lru_cache(maxsize=_KEPT)(self._compile)
        self._vocabulary: Any = None
        self._lock = threading.Lock()

    def prepare(self) -> None:
        """Read the vocabulary, if that has not happened, so that the first grammar need not wait for it."""
        with self._lock:
            if self._vocabulary is None:
                self._vocabulary = lltokenizer_from_vocab(
                    self._model.vocab, eos_token=list(self._ends) or None
                )

    def make(self, grammar: Grammar) -> Matcher:
        """Return a matcher at the beginning of an answer.

        Raises:
            BadRequest: the grammar cannot be kept to.
        """
        matcher = self._compiled(grammar).deep_copy()
        return Matcher(grammar, matcher, self._model.vocabulary_size, self._ends)

    def _compile(self, grammar: Grammar) -> Any:  # noqa: ANN401 - the library's own object
        self.prepare()
        matcher = LLMatcher(self._vocabulary, compile_grammar(grammar))
        if matcher.is_error():
            raise unusable(grammar, matcher.get_error())
        return matcher


class Matcher:
    """Follows the tokens of one row. `ends` are the tokens that may stand behind what is complete."""

    def __init__(
        self, grammar: Grammar, matcher: LLMatcher, vocabulary_size: int, ends: Sequence[int]
    ) -> None:
        self.ends = frozenset(ends)
        self._grammar = grammar
        self._matcher = matcher
        self._size = vocabulary_size
        self._bits = llguidance.numpy.allocate_token_bitmask(1, vocabulary_size)

    def mask(self, scores: Floats) -> None:
        """Set to -inf in scores (vocabulary) what the grammar forbids next.

        Raises:
            BadRequest: the grammar became too large to follow.
        """
        llguidance.numpy.fill_next_token_bitmask(self._matcher, self._bits, 0)
        if self._matcher.is_error():
            raise unusable(self._grammar, self._matcher.get_error())
        allowed = np.unpackbits(self._bits[0].view(np.uint8), bitorder="little", count=self._size)
        scores[allowed == 0] = -math.inf

    def accept(self, token_id: int) -> None:
        """Go on by one token, which mask() has let through."""
        self._matcher.consume_token(token_id)
