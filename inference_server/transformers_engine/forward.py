"""Forward: what the model computes for rows of the slab. No choice is made here: all is in the arguments.

In a group of processes each one holds its part of the model and of the slab, and all make the same calls.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, Protocol

import torch

from inference_server.transformers_engine.slab import Slab


class Selecting(Protocol):
    """Chooses the adapters of the next forward; see adapters.PeftHost."""

    def use(self, revisions: Sequence[str]) -> contextlib.AbstractContextManager[None]:
        """Give one revision for each row of the forwards within."""
        ...


class Forward:
    """A loaded model and its slab."""

    def __init__(self, model: Any, adapters: Selecting) -> None:  # noqa: ANN401 - the library has no types
        self._model = model
        self._adapters = adapters
        config = model.config.get_text_config()
        self.slab = Slab(int(config.num_hidden_layers))
        self._window: int | None = getattr(config, "sliding_window", None)
        kinds = set(getattr(config, "layer_types", None) or ())
        self._kinds = kinds if len(kinds) > 1 else set()
        # The plain implementation adds its mask to the scores; all others take one of yes and no.
        self._adds = model.dtype if config._attn_implementation == "eager" else None
        if kinds == {"full_attention"}:
            self._window = None

    @property
    def device(self) -> torch.device:
        """Return where token ids go to."""
        return torch.device(self._model.get_input_embeddings().weight.device)

    @torch.inference_mode()
    def piece(
        self,
        first: int,
        start: int,
        tokens: Sequence[Sequence[int]],
        revisions: Sequence[str],
        last: Sequence[int],
    ) -> torch.Tensor:
        """Compute a piece of prompts: rows from `first` on, columns from `start` on.

        Args:
            first: the row of the first prompt.
            start: the column of the first token; the same for all.
            tokens: one list a row, of the same length; shorter prompts are filled up at their end.
            revisions: the adapter of each row.
            last: for each row the position in `tokens` whose logits are wanted.

        Returns:
            Logits of shape (rows, vocabulary).
        """
        ids = torch.tensor(tokens, dtype=torch.long, device=self.device)
        rows, length = ids.shape
        self.slab.aim_at_piece(first, rows, start)
        positions = torch.arange(start, start + length, device=ids.device).expand(rows, length)
        wanted = sorted(set(last))
        with self._adapters.use(revisions):
            logits = self._model(
                input_ids=ids,
                position_ids=positions,
                past_key_values=self.slab,
                use_cache=True,
                logits_to_keep=torch.tensor(wanted, device=ids.device),
            ).logits
        index = torch.tensor([wanted.index(position) for position in last], device=logits.device)
        return logits[torch.arange(rows, device=logits.device), index]  # type: ignore[no-any-return]

    @torch.inference_mode()
    def column(
        self, first: int, tokens: Sequence[int], lengths: Sequence[int], revisions: Sequence[str]
    ) -> torch.Tensor:
        """Compute one token more for rows from `first` on; `lengths` are those of the rows without it.

        Returns:
            Logits of shape (rows, vocabulary).
        """
        device = self.device
        ids = torch.tensor(tokens, dtype=torch.long, device=device)[:, None]
        if len(tokens) == 1:
            self.slab.aim_at_piece(first, 1, lengths[0])
            positions, mask = torch.tensor([[lengths[0]]], device=device), None
        else:
            columns = torch.tensor(lengths, dtype=torch.long, device=device)
            self.slab.aim_at_columns(first, columns, max(lengths))
            positions, mask = columns[:, None], self._mask(columns, max(lengths) + 1)
        with self._adapters.use(revisions):
            logits = self._model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=self.slab,
                use_cache=True,
                logits_to_keep=1,
            ).logits
        return logits[:, -1]  # type: ignore[no-any-return]

    def resize(self, rows: int, columns: int, kept_rows: int, kept_columns: int) -> None:
        """Change the slab's room; see Slab.resize."""
        with torch.inference_mode():
            self.slab.resize(rows, columns, kept_rows, kept_columns)

    def move(self, source: int, target: int, length: int) -> None:
        """Copy a row's first columns over another row."""
        with torch.inference_mode():
            self.slab.move(source, target, length)

    def clear(self, row: int) -> None:
        """Write zeros over a row."""
        with torch.inference_mode():
            self.slab.clear(row)

    def _mask(self, columns: torch.Tensor, width: int) -> Any:  # noqa: ANN401 - a tensor, or one for each kind
        """Return what each row sees, (rows, 1, 1, width): its own columns, and of those its window."""
        at = torch.arange(width, device=columns.device)
        seen = (at[None] <= columns[:, None])[:, None, None]
        full = self._as_taken(seen)
        if self._window is None:
            return full
        near = self._as_taken(seen & (at[None] > columns[:, None] - self._window)[:, None, None])
        if not self._kinds:
            return near
        return {kind: full if kind == "full_attention" else near for kind in self._kinds}

    def _as_taken(self, seen: torch.Tensor) -> torch.Tensor:
        if self._adds is None:
            return seen
        hidden = torch.finfo(self._adds).min
        return torch.zeros(seen.shape, dtype=self._adds, device=seen.device).masked_fill(~seen, hidden)
