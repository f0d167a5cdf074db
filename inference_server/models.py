"""Models: the names by which clients call the base model, its merge with adapters, and each adapter alone."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from inference_server.engine import BASE
from inference_server.errors import NotFound

_BASE_SUFFIX = ":base"


@dataclass(frozen=True)
class ModelName:
    """One entry of /v1/models: `revision` is what rows are made with, `parent` the base of an adapter."""

    name: str
    revision: str
    parent: str | None = None


class Models:
    """Names to adapter revisions. Replaced as a whole when adapters change, read by every request."""

    def __init__(self, workspace: str, preset: str) -> None:
        self._workspace = workspace
        self._aliases = {preset: workspace, f"{preset}{_BASE_SUFFIX}": f"{workspace}{_BASE_SUFFIX}"}
        self._entries: dict[str, ModelName] = {}
        self.publish(BASE, {})

    @property
    def default(self) -> str:
        """Return the name of the model that answers when a request names none."""
        return self._workspace

    def publish(self, merge: str, adapters: Mapping[str, str]) -> None:
        """Set the revision of the merge (BASE: there is none) and of every adapter by name."""
        base = f"{self._workspace}{_BASE_SUFFIX}"
        entries = [ModelName(self._workspace, merge), ModelName(base, BASE)]
        entries += [ModelName(name, revision, parent=base) for name, revision in adapters.items()]
        # The Workspace's own two names win over an adapter of the same name.
        self._entries = {entry.name: entry for entry in reversed(entries)}

    def all(self) -> list[ModelName]:
        """Return every entry, the merge first, then the base, then the adapters in their order."""
        return list(reversed(self._entries.values()))

    def resolve(self, name: str | None) -> ModelName:
        """Return the entry of a name; of the merge for None.

        Raises:
            NotFound: nothing is served under this name; the sentence lists the nearest that are.
        """
        if name is None:
            return self._entries[self._workspace]
        # A name of the preset is one of the merge, unless an adapter is called so.
        entry = self._entries.get(name) or self._entries.get(self._aliases.get(name, ""))
        if entry is None:
            near = (
                difflib.get_close_matches(name[:256], self._entries, n=3, cutoff=0.4)
                or list(self._entries)[:8]
            )
            raise NotFound(f"there is no model {name[:64]!r} here; these are served: {', '.join(near)}")
        return entry
