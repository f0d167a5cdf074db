"""kopf's memory of objects, switched off: none of our handlers asks what an object was before.

By default kopf copies each object deeply at each event, to compare it with the one before. At a hundred
Workspaces that was half of the operator's work.
"""

from collections.abc import Iterable
from typing import Any, cast

import kopf
from typing_extensions import override

_NOTHING = cast("kopf.BodyEssence", {})


class NoDiffBase(kopf.DiffBaseStorage):
    """Keeps no earlier state."""

    @override
    def build(
        self,
        *,
        body: kopf.Body,
        extra_fields: Iterable[Any] | None = None,
    ) -> kopf.BodyEssence:
        return _NOTHING

    @override
    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        return None

    @override
    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        return


class NoProgress(kopf.ProgressStorage):
    """Keeps no progress of handlers: ours are done when they return."""

    @override
    def fetch(self, *, key: Any, body: kopf.Body) -> None:
        return None

    @override
    def store(self, **_: Any) -> None:
        return

    @override
    def purge(self, **_: Any) -> None:
        return

    @override
    def touch(self, **_: Any) -> None:
        return

    @override
    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        return essence
