"""Parts: what the batch and the rows beside it share of a loaded model."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from inference_server.transformers_engine.tokenizer import HfTokenizer


class RowAdapters(Protocol):
    """Which adapter acts on which row; see adapters.PeftHost."""

    def use(self, revisions: Sequence[str]) -> contextlib.AbstractContextManager[None]:
        """Give one revision for each row of the forwards within."""
        ...

    def exclusive(self, revision: str) -> bool:
        """Say whether rows of this revision need a forward of their own."""
        ...


@dataclass(frozen=True)
class Parts:
    """A model ready to run. `eos` are its end tokens, `pad` is what fills up short rows."""

    model: Any
    tokenizer: HfTokenizer
    adapters: RowAdapters
    eos: tuple[int, ...]
    pad: int
    vocabulary_size: int
