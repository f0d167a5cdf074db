"""Room: how much the slab may take, and what is learnt where the memory proves to be less."""

from __future__ import annotations

_REGAIN = 512  # steps in which a capacity that was cut to nothing comes back
LEAST_PIECE = 64  # prompt tokens; what a smaller piece would save is nothing beside the weights


class Room:
    """The capacity for keys and values in tokens, and how many prompt tokens one step computes at most.

    Both are estimates. What was short may have been needed for something that is over by now, so neither is
    cut for good: a server that answers nothing long any more would have to be restarted by hand.
    """

    def __init__(self, tokens: int, piece_tokens: int) -> None:
        self._most = tokens
        self._most_piece = piece_tokens
        self.tokens = tokens
        self.piece_tokens = piece_tokens

    def regain(self, *, empty: bool) -> None:
        """Take back a little with every step, and the whole capacity when nothing is in the slab."""
        self.tokens = self._most if empty else min(self.tokens + self._most // _REGAIN + 1, self._most)

    def emptied(self) -> None:
        """Try larger pieces again, when the last row is gone."""
        self.piece_tokens = min(2 * self.piece_tokens, self._most_piece)

    def cut(self, tokens: int) -> None:
        """Go on with so many tokens, if that is less."""
        self.tokens = max(min(self.tokens, tokens), 1)

    def halve_piece(self) -> bool:
        """Compute less at a time; False if that is as little as makes sense."""
        if self.piece_tokens < 2 * LEAST_PIECE:
            return False
        self.piece_tokens //= 2
        return True
