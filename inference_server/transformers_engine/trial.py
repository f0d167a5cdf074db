"""A trial after loading: does the slab give what the model gives without it?

Models differ in what they keep of a text. One that keeps more than keys and values, or that reads positions
and masks in its own way, would answer nonsense from a slab without any error. It is found out here, and then
served row by row by the library.
"""

from __future__ import annotations

import logging
from typing import Any

import torch

from inference_server.transformers_engine.failures import is_out_of_memory, raise_if_broken
from inference_server.transformers_engine.forward import Forward

_log = logging.getLogger(__name__)
_LONG, _SHORT = 9, 5  # tokens of the two prompts
_NEAR = 0.02  # of the logits' spread: rounding is far below, another meaning far above


def slab_works(model: Any, forward: Forward, vocabulary: int) -> bool:  # noqa: ANN401 - the library has no types
    """Compute two prompts and one token more in the slab, and one of them without it.

    Raises:
        EngineFailed: the device is lost.
    """
    prompts = [[(7 * position + 3) % vocabulary for position in range(length)] for length in (_LONG, _SHORT)]
    filled = prompts[1] + [0] * (_LONG - _SHORT)
    next_token = 11 % vocabulary
    try:
        forward.resize(2, 64, 0, 0)
        forward.piece(0, 0, [prompts[0], filled], ["", ""], [_LONG - 1, _SHORT - 1])
        found = forward.column(0, [next_token] * 2, [_LONG, _SHORT], ["", ""])
        for row, prompt in enumerate(prompts):
            if not _near(found[row], _plain(model, forward, [*prompt, next_token])):
                _log.warning("the model does not answer the same from a shared slab of keys and values")
                return False
    except Exception as error:  # whatever a model raises here, it raises for the slab
        raise_if_broken(error)
        if is_out_of_memory(error):
            raise
        _log.warning(
            "the model takes no shared slab of keys and values",
            extra={"error": f"{type(error).__name__}: {error}"},
        )
        return False
    finally:
        forward.resize(1, 64, 0, 0)
    return True


@torch.inference_mode()
def _plain(model: Any, forward: Forward, tokens: list[int]) -> torch.Tensor:  # noqa: ANN401
    ids = torch.tensor([tokens], device=forward.device)
    return model(input_ids=ids, use_cache=False, logits_to_keep=1).logits[0, -1]  # type: ignore[no-any-return]


def _near(found: torch.Tensor, wanted: torch.Tensor) -> bool:
    found, wanted = found.float(), wanted.float()
    spread = float(wanted.max() - wanted.min())
    return float((found - wanted).abs().max()) <= _NEAR * max(spread, 1e-6) + 1e-4
