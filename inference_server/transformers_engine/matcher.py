"""Matcher: a grammar's say in each token of one row, through llguidance."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import llguidance.hf
import llguidance.numpy
import numpy as np
import torch
from llguidance import LLMatcher

from inference_server.grammar import compile_grammar, unusable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inference_server.engine import Grammar


@functools.lru_cache(maxsize=1)
def _vocabulary(tokenizer: Any, size: int, ends: tuple[int, ...]) -> Any:  # noqa: ANN401 - no types
    """Return llguidance's view of a tokenizer; it takes a second to make."""
    return llguidance.hf.from_tokenizer(tokenizer, n_vocab=size, eos_token=list(ends) or None)


@functools.lru_cache(maxsize=32)
def _compiled(grammar: Grammar, tokenizer: Any, size: int, ends: tuple[int, ...]) -> Any:  # noqa: ANN401
    """Return llguidance's matcher at its beginning. A request asks several times for the same one.

    Raises:
        BadRequest: the grammar has a mistake.
    """
    matcher = LLMatcher(_vocabulary(tokenizer, size, ends), compile_grammar(grammar))
    if matcher.is_error():
        raise unusable(grammar, matcher.get_error())
    return matcher


class Matcher:
    """Follows the tokens of one row. `ends` are the tokens that may stand behind what is complete.

    The bits are applied here: llguidance's own way compiles a kernel at its first use, which takes seconds of
    the engine's thread and a C++ compiler, and the runtime image has none.
    """

    def __init__(
        self,
        grammar: Grammar,
        tokenizer: Any,  # noqa: ANN401 - the library has no types
        vocabulary_size: int,
        ends: Sequence[int] = (),
    ) -> None:
        self.ends = frozenset(ends) or frozenset({tokenizer.eos_token_id})
        self._grammar = grammar
        self._size = vocabulary_size
        self._matcher = _compiled(grammar, tokenizer, vocabulary_size, tuple(ends)).deep_copy()
        self._bits = llguidance.numpy.allocate_token_bitmask(1, vocabulary_size)

    def mask(self, scores: torch.Tensor) -> torch.Tensor:
        """Take out of scores (1, vocabulary) what the grammar forbids next.

        Raises:
            BadRequest: the grammar became too large to follow.
        """
        llguidance.numpy.fill_next_token_bitmask(self._matcher, self._bits, 0)
        if self._matcher.is_error():
            raise unusable(self._grammar, self._matcher.get_error())
        allowed = np.unpackbits(self._bits[0].view(np.uint8), bitorder="little", count=self._size)
        forbidden = torch.from_numpy(allowed == 0).to(scores.device)
        return scores.masked_fill_(forbidden, float("-inf"))

    def accept(self, token_id: int) -> None:
        """Go on by one token, which mask() has let through."""
        self._matcher.consume_token(token_id)
