"""Where adapters come from: plain folders, read once, or state.json, which the sidecar writes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from watchfiles import awatch

from inference_server.adapter_sync.state import STATE_FILE, LiveAdapter, LiveState, PullState

_log = logging.getLogger(__name__)
_LOOK_MS = 1000  # a look without a reason: notifications may get lost, and what is unused has to go


def find_folders(folder: Path, strengths: Mapping[str, float]) -> LiveState:
    """List the adapter folders in `folder` by name, and the names that have a strength and no folder."""
    try:
        children = sorted(folder.iterdir())
    except OSError:
        children = []
    names = [child.name for child in children if _is_adapter(child)]
    names += sorted(set(strengths) - set(names))  # loading them fails, and says what is missing
    adapters = [
        LiveAdapter(name, "", strengths.get(name, 1.0), path=str(folder / name), state=PullState.PULLED)
        for name in names
    ]
    return LiveState(adapters=tuple(adapters))


def _is_adapter(child: Path) -> bool:
    return child.is_dir() and not child.name.startswith(".") and child.name != "lost+found"


async def looks(folder: Path) -> AsyncIterator[None]:
    """Yield whenever something in `folder` changes, at once, and once a second in any case."""
    yield
    warned = False
    while True:
        try:
            async for _ in awatch(
                folder, watch_filter=None, debounce=100, rust_timeout=_LOOK_MS, yield_on_timeout=True,
                recursive=False,
            ):  # fmt: skip
                yield
        except (OSError, RuntimeError) as error:  # not there yet, or the node has no more watches
            if not warned:
                _log.warning("cannot watch, looking every second", extra={"error": str(error)})
                warned = True
        await asyncio.sleep(_LOOK_MS / 1000)
        yield


class StateFile:
    """state.json in a folder; read() returns its text when it is another one than at the last call."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / STATE_FILE
        self._last: str | None = None

    def read(self) -> str | None:
        """Return a new text, None while there is none."""
        try:
            text = self._path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        if text == self._last:
            return None
        self._last = text
        return text
