"""Probabilities of tokens, in the shapes of the two routes."""

from __future__ import annotations

from collections.abc import Sequence

from inference_server.engine import Token, Tokenizer

_LEAST = -9999.0  # as OpenAI writes what is impossible: JSON has no infinity


def chat_logprobs(tokens: Sequence[Token], tokenizer: Tokenizer) -> dict[str, object]:
    """Return `logprobs` of a chat choice. End tokens are no part of an answer."""
    content = [
        {**_entry(token.id, token.logprob, tokenizer), "top_logprobs": _top(token, tokenizer)}
        for token in tokens
        if not token.is_end
    ]
    return {"content": content, "refusal": None}


def _top(token: Token, tokenizer: Tokenizer) -> list[dict[str, object]]:
    return [_entry(token_id, logprob, tokenizer) for token_id, logprob in token.top]


def _entry(token_id: int, logprob: float | None, tokenizer: Tokenizer) -> dict[str, object]:
    raw = tokenizer.token_bytes(token_id)
    return {"token": raw.decode("utf-8", "replace"), "logprob": _finite(logprob), "bytes": list(raw)}


def _finite(logprob: float | None) -> float:
    """Return a number that JSON has."""
    return _LEAST if logprob is None or not logprob > _LEAST else min(logprob, 0.0)


class CompletionLogprobs:
    """`logprobs` of one choice of a completion, for as many tokens at a time as have come."""

    def __init__(self, tokenizer: Tokenizer, offset: int) -> None:
        self._tokenizer = tokenizer
        self._offset = offset  # characters before the next token

    def take(self, tokens: Sequence[Token]) -> dict[str, object]:
        """Return the shape for `tokens`, which follow those of the last call."""
        shown = [token for token in tokens if not token.is_end]
        texts = [self._text(token.id) for token in shown]
        offsets = []
        for text in texts:
            offsets.append(self._offset)
            self._offset += len(text)
        return {
            "tokens": texts,
            "token_logprobs": [_finite(token.logprob) for token in shown],
            "top_logprobs": [{self._text(key): _finite(value) for key, value in t.top} for t in shown],
            "text_offset": offsets,
        }

    def _text(self, token_id: int) -> str:
        return self._tokenizer.token_bytes(token_id).decode("utf-8", "replace")
