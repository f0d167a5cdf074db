"""python -m inference_server.fetch: a model's weights from a Hugging Face-compatible hub into a folder.

    python -m inference_server.fetch --repo ORG/NAME --revision SHA --to FOLDER [--trust-remote-code]

Environment: HF_ENDPOINT (the hub), HF_TOKEN (for gated models), HF_HUB_OFFLINE=0. A marker file with the
revision is written last: while it names the wanted revision, a second run does nothing and asks no network.
Files that arrived whole are kept when an interrupted run is repeated. Exit codes: see errors.ExitCode.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING

from inference_server.errors import (
    ExitCode,
    HubUnreachable,
    ProcessError,
    VolumeTooSmall,
    WeightsFormat,
)
from inference_server.hub_errors import explained
from inference_server.logs import configure_logging
from inference_server.termination import TERMINATION_LOG, write_termination_log

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_log = logging.getLogger("inference_server.fetch")
MARKER = ".kaito-weights.json"
_WANTED = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "*.tiktoken")
_CODE = ("*.py",)
_UNWANTED = ("consolidated*", "README*", "LICENSE*", "USE_POLICY*", "*.onnx.json")
_TEMPLATES = "additional_chat_templates/*.jinja"  # the only subfolder that the library reads
_PROGRESS_SECONDS = 3.0


@dataclass(frozen=True)
class Order:
    """What to fetch, and where to."""

    repo: str
    revision: str
    folder: Path
    with_code: bool = False
    termination_log: Path = TERMINATION_LOG


@dataclass(frozen=True)
class Snapshot:
    """The wanted files of one commit, with their sizes in bytes."""

    sha: str
    files: Mapping[str, int]

    @property
    def total_bytes(self) -> int:
        """Return the size of all wanted files."""
        return sum(self.files.values())


def fetch(order: Order) -> None:
    """Download what the order names, unless the folder has it already.

    Raises:
        HubDenied, HubNotFound, HubUnreachable: by what the hub answered.
        WeightsFormat: the repository holds no safetensors.
        VolumeTooSmall: the folder's volume cannot hold the files.
    """
    wanted = {"repo": order.repo, "revision": order.revision}
    marker = _read_marker(order.folder)
    if marker.get("complete") and {key: marker.get(key) for key in wanted} == wanted:
        _log.info("already there", extra=wanted)
        return
    from huggingface_hub import HfApi

    with explained(order.repo, order.revision, order.folder):
        snapshot = _list_files(HfApi(), order)
        _make_room(order.folder, snapshot, marker)
        _write_marker(order.folder, {**wanted, "sha": snapshot.sha, "complete": False})
        _download(order, snapshot)
    _require_whole(order, snapshot)
    _write_marker(order.folder, {**wanted, "sha": snapshot.sha, "complete": True})
    _log.info("done", extra={**wanted, "sha": snapshot.sha, "bytes": snapshot.total_bytes})


def wanted_files(names: Sequence[str], *, with_code: bool) -> list[str]:
    """Choose the files that a weights folder needs, from all of a repository.

    Only the top folder counts: others hold the same weights in other forms (onnx, original, gguf).
    """
    patterns = _WANTED + (_CODE if with_code else ())
    chosen = [
        name
        for name in names
        if "/" not in name and _matches(name, patterns) and not _matches(name, _UNWANTED)
    ]
    return sorted(chosen + [name for name in names if fnmatchcase(name, _TEMPLATES)])


def main(arguments: Sequence[str]) -> ExitCode:
    """Fetch, and return the exit code; the reason of a failure is logged and in the termination log."""
    configure_logging("info")
    order = _parse(arguments)
    try:
        fetch(order)
    except ProcessError as error:
        _log.error("failed", extra={"reason": error.reason, "error": str(error)})
        write_termination_log(order.termination_log, error.reason, str(error))
        return error.exit_code
    return ExitCode.OK


def _parse(arguments: Sequence[str]) -> Order:
    parser = argparse.ArgumentParser(prog="inference_server.fetch", description="Download a model's weights.")
    parser.add_argument("--repo", required=True, help="ORG/NAME on the hub")
    parser.add_argument("--revision", required=True, help="commit (best), tag or branch")
    parser.add_argument("--to", type=Path, required=True, help="folder, made if it is not there")
    parser.add_argument("--trust-remote-code", action="store_true", help="fetch the model's Python files too")
    parser.add_argument("--termination-log", type=Path, default=TERMINATION_LOG, help="written if it exists")
    found = parser.parse_args(list(arguments))
    return Order(found.repo, found.revision, found.to, found.trust_remote_code, found.termination_log)


def _list_files(hub: HfApi, order: Order) -> Snapshot:
    """Ask the hub for the commit behind the revision, and for its files."""
    info = hub.model_info(order.repo, revision=order.revision, files_metadata=True)
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
    chosen = wanted_files(list(sizes), with_code=order.with_code)
    if not any(name.endswith(".safetensors") for name in chosen):
        pickled = [name for name in sizes if name.endswith((".bin", ".pth", ".pt"))]
        found = ", ".join((pickled or sorted(sizes))[:5]) or "nothing"
        raise WeightsFormat(
            f"{order.repo} at {order.revision} has no safetensors in its top folder (found: {found}); "
            "choose a revision or a repository that has them"
        )
    return Snapshot(str(info.sha), {name: sizes[name] for name in chosen})


def _make_room(folder: Path, snapshot: Snapshot, marker: Mapping[str, object]) -> None:
    """Remove what an earlier run left half done, and all it fetched if that was another commit.

    The hub's library keeps a file that it cannot compare, so files of another commit must go first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cache = folder / ".cache" / "huggingface"
    for partial in cache.rglob("*.incomplete"):
        partial.unlink(
            missing_ok=True
        )  # the library names these anew each time and never finishes an old one
    if marker.get("sha") != snapshot.sha:
        shutil.rmtree(cache, ignore_errors=True)
        for name in snapshot.files:
            (folder / name).unlink(missing_ok=True)
        for stale in folder.glob("*.safetensors*") if marker else ():
            stale.unlink()  # a shard of the other commit would be loaded together with the new ones
    needed = snapshot.total_bytes - _present_bytes(folder, snapshot)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise VolumeTooSmall(
            f"{needed / 1024**3:.2f} GiB are still to be fetched to {folder} and {free / 1024**3:.2f} GiB "
            "are free; give the volume more space"
        )


def _download(order: Order, snapshot: Snapshot) -> None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    with _progress(order.folder, snapshot):
        snapshot_download(
            order.repo,
            revision=snapshot.sha,
            local_dir=order.folder,
            allow_patterns=[escape(name) for name in snapshot.files],
        )


@contextmanager
def _progress(folder: Path, snapshot: Snapshot) -> Iterator[None]:
    """Log every few seconds how many bytes have arrived, whatever way the library fetches them."""
    done = threading.Event()

    def report() -> None:
        started = time.monotonic()
        before = _present_bytes(folder, snapshot)
        while not done.wait(_PROGRESS_SECONDS):
            arrived = _present_bytes(folder, snapshot)
            speed = max(arrived - before, 0) / (time.monotonic() - started)
            _log.info(
                "fetching",
                extra={
                    "bytes": arrived,
                    "total_bytes": snapshot.total_bytes,
                    "percent": round(100 * arrived / max(snapshot.total_bytes, 1), 1),
                    "bytes_per_second": round(speed),
                },
            )

    _log.info("fetching", extra={"files": len(snapshot.files), "total_bytes": snapshot.total_bytes})
    thread = threading.Thread(target=report, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _present_bytes(folder: Path, snapshot: Snapshot) -> int:
    """Return the size of the wanted files that are there, and of those on their way."""
    partial = (folder / ".cache" / "huggingface").rglob("*.incomplete")
    return sum(_size(path) for path in [*(folder / name for name in snapshot.files), *partial])


def _require_whole(order: Order, snapshot: Snapshot) -> None:
    for name, size in snapshot.files.items():
        found = _size(order.folder / name)
        if found != size:
            raise HubUnreachable(
                f"{name} has {found} bytes and the hub announced {size}; the transfer was cut off: "
                "run it again"
            )


def _read_marker(folder: Path) -> dict[str, object]:
    try:
        marker = json.loads((folder / MARKER).read_text())
    except (OSError, ValueError):
        return {}
    return marker if isinstance(marker, dict) else {}


def _write_marker(folder: Path, content: Mapping[str, object]) -> None:
    temporary = folder / f"{MARKER}.new"
    temporary.write_text(json.dumps(content) + "\n")
    temporary.replace(folder / MARKER)  # at once: a marker is whole or absent


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
