"""History: the tokens of one row, for the rules that look back. A step costs what it adds, not all of it."""

from __future__ import annotations

from collections.abc import Sequence

import torch


class History:
    """Prompt and answer of one row, which grows to `more` tokens beyond the prompt."""

    def __init__(self, prompt: Sequence[int], more: int) -> None:
        self._tokens = [*prompt]
        self._most = len(prompt) + more
        self._buffer: torch.Tensor | None = None
        self._sent = 0
        self._followers: dict[tuple[int, ...], set[int]] = {}
        self._looked_at = 0

    def append(self, token_id: int) -> None:
        """Add a token."""
        self._tokens.append(token_id)

    def tensor(self, device: torch.device) -> torch.Tensor:
        """Return all tokens, of shape (1, tokens)."""
        length = len(self._tokens)
        if self._buffer is None or length > len(self._buffer):
            self._buffer = torch.empty(max(self._most, length), dtype=torch.long, device=device)
            self._sent = 0
        if self._sent < length:
            self._buffer[self._sent : length] = torch.tensor(self._tokens[self._sent :], device=device)
            self._sent = length
        return self._buffer[None, :length]

    def repeating(self, size: int) -> list[int]:
        """Return the tokens that would make a run of `size` which is there already; always the same size."""
        length = len(self._tokens)
        for end in range(max(self._looked_at, size - 1), length):
            before = tuple(self._tokens[end - size + 1 : end])
            self._followers.setdefault(before, set()).add(self._tokens[end])
        self._looked_at = length
        if length + 1 < size:
            return []
        return sorted(self._followers.get(tuple(self._tokens[length - size + 1 :]), ()))
