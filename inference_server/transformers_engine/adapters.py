"""PeftHost: adapters in peft's format on a loaded model, chosen row by row. See engine.AdapterHost.

The format, the names and the rules of combination are peft's. Its layers are not used while serving: they are
slower in mixed batches and have no DoRA there (docs/decisions/0011-adapters-by-hooks.md).
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

import torch

from inference_server.engine import BASE, AdapterFiles, Combination
from inference_server.errors import AdapterRefused
from inference_server.transformers_engine.adapter_changes import Change
from inference_server.transformers_engine.adapter_reader import AdapterReader, ReadAdapter
from inference_server.transformers_engine.adapter_sites import Chosen, Current, Site, choose
from inference_server.transformers_engine.adapter_sums import combine

_log = logging.getLogger(__name__)
_CHOICES_KEPT = 64  # combinations of rows whose choice is remembered: the same ones come step after step
# Classes within which modules see tokens sorted by expert. Rows cannot be told apart there.
_ROUTED = re.compile(r"(SparseMoe\w*|Experts?|Router|Mo[eE]|MoA|Moe(Block|Layer))$")


class PeftHost:
    """See engine.AdapterHost. All methods but prepare() belong to the engine's thread, or to a row's turn.

    Args:
        model: the loaded base model.
        served_as: its name in sentences.
    """

    def __init__(self, model: Any, served_as: str) -> None:  # noqa: ANN401 - the library has no types
        self._model = model
        self._served_as = served_as
        self._reader = AdapterReader(model, served_as)
        self._current = Current()
        self._sites: dict[str, Site] = {}
        self._loaded: dict[str, Mapping[str, Change]] = {}
        self._whole: dict[str, str] = {}
        self._prepared: dict[str, ReadAdapter] = {}
        self._routed: set[str] | None = None
        self._exclusive: set[str] = set()
        self._choices: OrderedDict[tuple[str, ...], Chosen | None] = OrderedDict()

    @property
    def bytes(self) -> int:
        """Return how much memory all loaded adapters take; what several revisions share counts once."""
        tensors = [
            tensor
            for changes in list(self._loaded.values())
            for change in changes.values()
            for tensor in change.tensors()
        ]
        tensors += [tensor for site in list(self._sites.values()) for tensor in site.tensors()]
        return sum({tensor.data_ptr(): tensor.nbytes for tensor in tensors}.values())

    def prepare(self, adapter: AdapterFiles) -> None:
        """Read and check the files, on any thread, so that load() is over at once; with load()'s errors."""
        self._prepared[adapter.revision] = self._reader.read(adapter.name, adapter.path, _room)

    def load(self, adapter: AdapterFiles) -> str:
        """Put an adapter on the model under its revision; see engine.AdapterHost."""
        read = self._prepared.pop(adapter.revision, None)
        if read is None:
            read = self._reader.read(adapter.name, adapter.path, _room)
        self._install(adapter.revision, read.changes)
        self._whole[adapter.revision] = read.whole
        _log.info(
            "adapter loaded",
            extra={"adapter": adapter.name, "revision": adapter.revision, "modules": len(read.changes)},
        )
        return " ".join(filter(None, [self._other_base(read), self._missing(read)]))

    def mergeable(self, revision: str) -> str:
        """Return '' if a loaded adapter can be part of a sum, else what it has that a sum would drop."""
        return self._whole[revision]

    def combine(self, revision: str, parts: Mapping[str, float], how: Combination) -> None:
        """Make `revision` the combination of loaded ones, each times its strength; see engine.AdapterHost."""
        whole = next((part for part, strength in parts.items() if strength and self._whole[part]), None)
        if whole is not None:
            raise AdapterRefused(
                f"{whole} has {self._whole[whole]}, which a sum would drop; "
                "ask for it by its name, or let it be the only adapter, with strength 1"
            )
        try:
            changes = combine([(self._loaded[part], strength) for part, strength in parts.items()], how)
        except (ValueError, RuntimeError) as error:
            text = " ".join(str(error).split())[:400]
            raise AdapterRefused(
                f"the adapters cannot be combined by {how}: {text}; choose the combination cat"
            ) from error
        self._install(revision, changes)
        self._whole[revision] = ""

    def unload(self, revision: str) -> None:
        """Forget a revision and free its memory. Nothing happens to one that is not there."""
        self._prepared.pop(revision, None)
        if revision in self._loaded:
            self._remove(revision)
            _give_back()

    def _remove(self, revision: str) -> None:
        for path in self._loaded.pop(revision):
            site = self._sites[path]
            site.take(revision)
            if site.empty:
                site.remove()
                del self._sites[path]
        self._whole.pop(revision, None)
        self._exclusive.discard(revision)
        self._choices.clear()

    @contextlib.contextmanager
    def use(self, revisions: Sequence[str]) -> Iterator[None]:
        """Let each row of the forwards within have its adapter; BASE: none.

        Raises:
            RuntimeError: a revision is not loaded.
        """
        before = self._current.chosen
        self._current.chosen = self._choice(tuple(revisions))
        try:
            yield
        finally:
            self._current.chosen = before

    def exclusive(self, revision: str) -> bool:
        """Say whether rows of this revision need a forward of their own: it changes modules that mix rows."""
        return revision in self._exclusive

    def _choice(self, revisions: tuple[str, ...]) -> Chosen | None:
        if revisions in self._choices:
            self._choices.move_to_end(revisions)
            return self._choices[revisions]
        for revision in revisions:
            if revision != BASE and revision not in self._loaded:
                raise RuntimeError("a row wants an adapter that is not loaded")
        chosen = self._choices[revisions] = choose(revisions)
        if len(self._choices) > _CHOICES_KEPT:
            self._choices.popitem(last=False)
        return chosen

    def _install(self, revision: str, changes: Mapping[str, Change]) -> None:
        if revision in self._loaded:
            self._remove(revision)
        for path, change in changes.items():
            if path not in self._sites:
                self._sites[path] = Site(self._model.get_submodule(path), self._current)
            self._sites[path].put(revision, change)
        self._loaded[revision] = changes
        if not self._routed_paths().isdisjoint(changes):
            self._exclusive.add(revision)

    def _routed_paths(self) -> set[str]:
        """Return the paths of the modules that see tokens sorted by expert, and not the rows of a batch."""
        if self._routed is None:
            inside = [path for path, module in self._model.named_modules() if _routes(module)]
            self._routed = {
                path
                for path, _ in self._model.named_modules()
                if any(path == parent or path.startswith(f"{parent}.") for parent in inside)
            }
        return self._routed

    def _other_base(self, read: ReadAdapter) -> str:
        """Return a sentence if the adapter names another base model: names alone cannot decide."""
        base = read.settings.base
        if base.count("/") != 1 or base.startswith(("/", ".")):  # a folder says nothing
            return ""
        known = {self._served_as, PurePath(str(getattr(self._model.config, "_name_or_path", ""))).name}
        own = base.rpartition("/")[2].lower()
        if any(own.startswith(name.lower()) or name.lower().startswith(own) for name in known if name):
            return ""
        return (
            f"it says that it was trained on {base!r}, and {self._served_as!r} is served; "
            "everything fits, so it is used: make sure that this is meant."
        )

    def _missing(self, read: ReadAdapter) -> str:
        count = self._reader.missing(read)
        if not count:
            return ""
        return f"its config names {count} modules more than it has tensors for; they stay as they are."


def _routes(module: object) -> bool:
    return _ROUTED.search(type(module).__name__) is not None


def _give_back() -> None:
    """Return freed memory to the system: glibc keeps the pieces of an adapter, and its peak would stay."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries have none
    if trim is not None:
        trim(0)


def _room(device: torch.device) -> int:
    """Return how many bytes are left for adapters on a device."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    from inference_server.capacity import free_memory

    return free_memory()
