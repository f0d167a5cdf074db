"""The folder that both containers share: one folder for each adapter and digest, whole or not there."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

from inference_server.adapter_sync.extract import WANTED
from inference_server.adapter_sync.state import (
    IN_USE_FILE,
    STATE_FILE,
    LiveState,
    StateInvalid,
    parse_in_use,
    parse_state,
    replace_file,
)

_log = logging.getLogger(__name__)
_DRAFT: Final = ".pulling-"


class Store:
    """The adapters on the disk. All folders with an `@` in `live` belong to this object."""

    def __init__(self, live: Path) -> None:
        self.live = live
        self._written = ""

    def prepare(self) -> None:
        """Make the folder, and remove what a killed process left half done.

        Raises:
            OSError: it cannot be written.
        """
        self.live.mkdir(parents=True, exist_ok=True)
        for path in self.live.glob(f"{_DRAFT}*"):
            shutil.rmtree(path)

    def folder(self, name: str, digest: str) -> Path:
        """Return where an adapter of a digest ("sha256:...") lies, or will."""
        return self.live / f"{name}@{digest.removeprefix('sha256:')[:12]}"

    @contextmanager
    def draft(self, name: str, digest: str) -> Iterator[Path]:
        """Give a folder to fill; when no error came it takes its final name in one step.

        Raises:
            OSError: the volume is full or read-only.
        """
        # A name of its own: a pull for an older list may not have noticed yet that it is abandoned.
        path = Path(mkdtemp(prefix=f"{_DRAFT}{name}-", dir=self.live))
        try:
            yield path
            self._publish(path, self.folder(name, digest))
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def _publish(self, draft: Path, target: Path) -> None:
        for path in draft.iterdir():
            if path.name in WANTED:
                path.chmod(0o644)  # images made by safetensors have 0600, which the server's user cannot read
            elif path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        draft.chmod(0o755)
        try:
            draft.rename(target)
        except OSError:
            if not target.is_dir():
                raise
            # Another pull of the same digest was first. Folders get and lose this name whole.

    def read_state(self) -> LiveState:
        """Return what the process before this one wrote, or an empty state."""
        try:
            return parse_state((self.live / STATE_FILE).read_text(encoding="utf-8"))
        except (OSError, StateInvalid, UnicodeDecodeError):
            return LiveState()

    def write_state(self, state: LiveState) -> None:
        """Write state.json, unless it says this already.

        Raises:
            OSError: the volume is full or read-only.
        """
        text = state.render()
        if text != self._written:
            replace_file(self.live / STATE_FILE, text)
            self._written = text

    def collect(self, wanted: Set[str], busy: Set[str]) -> None:
        """Remove the folders that are neither in `wanted` (paths) nor in the server's in-use.json.

        Those of the adapters in `busy` (names) stay: a pull has perhaps just found one there.

        Without a readable in-use.json nothing is removed: the server may hold any of them.
        """
        try:
            used = parse_in_use((self.live / IN_USE_FILE).read_text(encoding="utf-8")).paths
        except (OSError, StateInvalid, UnicodeDecodeError):
            return
        for path in self.live.glob("[!.]*@*"):
            name = path.name.partition("@")[0]
            if path.is_dir() and name not in busy and str(path) not in wanted | used:
                self._remove(path)

    def _remove(self, path: Path) -> None:
        try:
            # Away from its name first: half a folder must never be found under the name of a whole one.
            grave = path.with_name(f"{_DRAFT}removed-{path.name}")
            path.rename(grave)
            shutil.rmtree(grave)
        except OSError as error:
            _log.warning(
                "cannot remove an adapter", extra={"folder": path.name, "error": type(error).__name__}
            )
            return
        _log.info("adapter removed", extra={"folder": path.name})
