"""python -m inference_server.adapter_sync: pull the adapters of a running server. Ends with 0 when told to.

It ends with 2 when a flag or a folder is wrong, with the cause as the last line of its log.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from watchfiles import Change, watch

from inference_server.adapter_sync.desired import DESIRED_FILE
from inference_server.adapter_sync.errors import Unusable
from inference_server.adapter_sync.pull import Puller
from inference_server.adapter_sync.settings import Settings, parse_settings
from inference_server.adapter_sync.state import IN_USE_FILE
from inference_server.adapter_sync.store import Store
from inference_server.adapter_sync.sync import Sync
from inference_server.logs import configure_logging

_log = logging.getLogger("inference_server.adapter_sync")
_LOOK_AGAIN_MS: Final = 60_000  # should an event be lost
_OK, _UNUSABLE = 0, 2


def main(arguments: Sequence[str]) -> int:
    """Pull and watch until a signal ends the process; return the exit code when it cannot."""
    configure_logging("info")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    try:
        settings = parse_settings(arguments)
        configure_logging(settings.log_level)
        _run(settings)
    except (Unusable, OSError) as error:
        _log.error("cannot go on", extra={"error": str(error)})
        return _UNUSABLE
    return _OK


def _run(settings: Settings) -> None:
    store = Store(settings.live)
    store.prepare()
    sync = Sync(Puller(store, settings.auth, settings.insecure, settings.max_bytes), settings.to)
    sync.follow(_read(settings.config))
    sync.collect()
    for changes in watch(
        *_watched(settings),
        watch_filter=lambda _, path: _matters(settings, Path(path)),
        recursive=False,  # the volume's folders change all the time while layers arrive
        debounce=200,
        step=100,
        rust_timeout=_LOOK_AGAIN_MS,
        yield_on_timeout=True,
        raise_interrupt=False,
    ):
        sync.follow(_read(settings.config))
        if _secrets_changed(settings, changes):
            sync.wake()
        sync.collect()


def _watched(settings: Settings) -> list[Path]:
    """Return the folders: a mounted volume changes by its ..data link, a projected one at its top."""
    found = [settings.config, settings.live]
    if settings.auth.is_dir():
        found += [settings.auth, *(path for path in settings.auth.iterdir() if path.is_dir())]
    return found


def _matters(settings: Settings, path: Path) -> bool:
    return path.parent != settings.live or path.name == IN_USE_FILE


def _secrets_changed(settings: Settings, changes: set[tuple[Change, str]]) -> bool:
    return any(Path(path).is_relative_to(settings.auth) for _, path in changes)


def _read(config: Path) -> str | None:
    try:
        return (config / DESIRED_FILE).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _end(_number: int, _frame: object) -> None:
    """End at once: pulls that are under way leave only drafts, which the next process removes."""
    os._exit(_OK)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)  # threads that pull would be waited for
