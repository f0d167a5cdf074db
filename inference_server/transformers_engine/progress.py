"""How far a load of weights is, in bytes, from the library's own loops."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from inference_server.engine import Phase, Report

_log = logging.getLogger(__name__)
_REPORT_EVERY_S = 0.5
_LOG_EVERY = 0.1  # of the whole
_LIBRARY_LOOP = "Loading weights"
_GGUF_SHARE = 0.9  # of a GGUF load; the rest is handing the tensors to the model


class Progress:
    """Counts bytes against `total` and reports the share that is done, which never goes back."""

    def __init__(self, report: Report, total: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._report = report
        self._total = max(total, 1.0)
        self._clock = clock
        self._done = 0.0
        self._started = self._reported = clock()
        self._logged = 0.0

    @property
    def share(self) -> float:
        """Return how much is done, 0 to 1."""
        return min(self._done / self._total, 1.0)

    @property
    def left(self) -> float:
        """Return how many bytes are not done."""
        return max(self._total - self._done, 0.0)

    def add(self, amount: float) -> None:
        """Count `amount` more bytes as done."""
        if not self.left:
            return
        self._done += amount
        now = self._clock()
        if now - self._reported >= _REPORT_EVERY_S or not self.left:
            self._reported = now
            self._report(Phase.WEIGHTS, self.share)
        if self.share >= self._logged + _LOG_EVERY - 1e-9:
            self._logged = int(self.share / _LOG_EVERY + 1e-9) * _LOG_EVERY
            seconds = round(now - self._started, 1)
            _log.info("loading weights", extra={"percent": round(self._logged * 100), "seconds": seconds})

    def finish(self) -> None:
        """Count all that is left."""
        if self.share < 1.0:
            self.add(self.left)


def shares(
    names: Collection[str], sizes: Mapping[str, int], mapped: Collection[str], left: float
) -> dict[str, float]:
    """Return how many of the `left` bytes each of `names` counts when the library comes by it.

    Those in `mapped` only stay where they are, in a file, and count once they are copied. Tensors that the
    library makes of several have names of their own: they share what the others leave, evenly.
    """
    known = {name: float(sizes[name]) for name in names if name in sizes}
    others = [name for name in names if name not in known]
    rest = max(left - sum(known.values()), 0.0) / max(len(others), 1)
    return {name: 0.0 if name in mapped else known.get(name, rest) for name in names}


@contextlib.contextmanager
def watch_library(progress: Progress, sizes: Mapping[str, int], mapped: Collection[str]) -> Iterator[None]:
    """Count what the library loads meanwhile: its loops announce themselves as progress bars.

    Each turn of the loop over tensors ends with that tensor on its device, in its type; see shares().
    """
    from transformers.utils import logging as library

    def bar(factory: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
        if kwargs.get("desc") != _LIBRARY_LOOP or not args:
            return factory(*args, **kwargs)
        items = list(args[0])
        return _counted(items, progress, shares([name for name, _ in items], sizes, mapped, progress.left))

    before = library.set_tqdm_hook(bar)
    try:
        yield
    finally:
        library.set_tqdm_hook(before)


def _counted(
    items: list[tuple[str, Any]], progress: Progress, counts: Mapping[str, float]
) -> Iterator[tuple[str, Any]]:
    for item in items:
        yield item
        progress.add(counts[item[0]])


@contextlib.contextmanager
def watch_gguf(progress: Progress, *, is_gguf: bool) -> Iterator[None]:
    """Count the tensors that the library reads out of a GGUF file, whose bar is none of its own.

    It would also be written to stderr, in between the log's lines.
    """
    if not is_gguf:
        yield
        return
    from transformers import modeling_gguf_pytorch_utils as reader

    def bar(tensors: Iterable[Any], **_: object) -> Iterator[Any]:
        listed = list(tensors)
        each = _GGUF_SHARE * progress.left / (sum(int(tensor.n_elements) for tensor in listed) or 1)
        for tensor in listed:
            yield tensor
            progress.add(each * int(tensor.n_elements))

    before = reader.tqdm
    reader.tqdm = bar
    try:
        yield
    finally:
        reader.tqdm = before
