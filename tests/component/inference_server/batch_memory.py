"""Where the memory ends, for batch_probe.py: in a resize, in a step of many rows, in a prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from tests.component.inference_server.batch_cases import Bench, greedy, ids, plain, row


def little_memory(model: Any, lines: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Give each fault to a batch of six rows, and ask for a long prompt afterwards."""
    rows = [row(index, line, 40) for index, line in enumerate(lines[:6])]
    logits = plain(model)
    wanted = [greedy(logits, line, 40) for line in lines[:6]]
    found: dict[str, Any] = {}
    for name, fault in {"resize": _no_resize, "column": _no_column, "piece": _no_piece}.items():
        bench = Bench(model, piece=256)
        faults = fault(bench.forward)
        said = bench.run(rows)
        found[name] = {
            "same": sum(ids(said[index]) == text for index, text in enumerate(wanted)),
            "faults": faults() > 0,
            "after": isinstance(bench.run([row(90, [5] * 150, 3)])[90], list),
        }
    hopeless = Bench(model, piece=256)
    _no_piece(hopeless.forward, most=0)
    found["hopeless"] = str(hopeless.run([row(0, lines[0])])[0])[:12]
    return found


def _no_resize(forward: Any) -> Callable[[], int]:
    """The third tensor cannot be made, as long as the slab would have more than 3 rows."""
    layer, count = forward.slab.layers[1], [0]
    original = layer.resize

    def resize(kept_rows: int, kept_columns: int) -> None:
        if forward.slab.rows > 3:
            count[0] += 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        original(kept_rows, kept_columns)

    layer.resize = resize
    return lambda: count[0]


def _no_column(forward: Any) -> Callable[[], int]:
    """Steps of more than 2 rows fail."""
    original, count = forward.column, [0]

    def column(first: int, tokens: Sequence[int], *others: Any) -> torch.Tensor:
        if len(tokens) > 2:
            count[0] += 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(first, tokens, *others)  # type: ignore[no-any-return]

    forward.column = column
    return lambda: count[0]


def _no_piece(forward: Any, most: int = 64) -> Callable[[], int]:
    """Pieces of more than `most` tokens in all rows together fail."""
    original, count = forward.piece, [0]

    def piece(first: int, start: int, tokens: Sequence[Sequence[int]], *others: Any) -> torch.Tensor:
        if sum(map(len, tokens)) > most:
            count[0] += 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(first, start, tokens, *others)  # type: ignore[no-any-return]

    forward.piece = piece
    return lambda: count[0]


def beside_fails(model: Any, lines: Sequence[Sequence[int]]) -> dict[str, Any]:
    """A row of beams meets a defect of the library; a row of the batch goes on, and later beams too."""
    bench = Bench(model)
    original, faults = model.generate, iter([ValueError("what the user wrote"), None])

    def generate(*_: Any, **__: Any) -> Any:
        if (fault := next(faults)) is not None:
            raise fault
        return torch.tensor([[*lines[1], 7]])

    model.generate = generate
    try:
        found = bench.run([row(0, lines[0], 12), row(1, lines[1], num_beams=2)])
        early = bench.asides
        early.add(row(2, lines[1], num_beams=2))
        whole = [type(outcome).__name__ for outcome in early.turn().values()]
        aside = type(early._rows.get(2)).__name__
    finally:
        model.generate = original
    return {
        "error": str(found[1]),
        "other": ids(found[0]) == greedy(plain(model), lines[0], 12),
        "whole": whole,
        "aside": aside,
    }
