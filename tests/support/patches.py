"""Patches as a small API server of a test understands them."""

from collections.abc import Mapping
from typing import Any

DELETE_FINALIZERS = "$deleteFromPrimitiveList/finalizers"


def as_merge_patch(patch: Mapping[str, Any], live: Mapping[str, Any]) -> dict[str, Any]:
    """A strategic merge patch of ours as the merge patch that does the same to `live`."""
    metadata = dict(patch.get("metadata", {}))
    gone = metadata.pop(DELETE_FINALIZERS, [])
    if gone:
        metadata["finalizers"] = [f for f in live["metadata"].get("finalizers") or () if f not in gone]
    return {**patch, "metadata": metadata}
