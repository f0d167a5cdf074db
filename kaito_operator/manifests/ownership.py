"""What every child carries: its owner, the labels it is found by, and the hash of what was wanted."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from kaito_operator.api import labels
from kaito_operator.api.meta import ObjectMeta

Obj = dict[str, Any]


def child_metadata(
    owner: ObjectMeta, annotations: Mapping[str, str] | None = None, name: str | None = None
) -> Obj:
    """Metadata of a child, which has its Workspace's name unless it has one of its own."""
    return {
        "name": name or owner.name,
        "namespace": owner.namespace,
        "labels": {labels.LABEL_WORKSPACE: owner.name, labels.LABEL_MANAGED_BY: labels.FIELD_MANAGER},
        "annotations": dict(annotations or {}),
        "ownerReferences": [
            {
                "apiVersion": labels.API_VERSION,
                "kind": labels.KIND,
                "name": owner.name,
                "uid": owner.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }


def child_key(obj: Mapping[str, Any], owner: str) -> str:
    """By which a child is told from its siblings: its kind, and its name unless that is its Workspace's."""
    name = obj["metadata"]["name"]
    return str(obj["kind"]) if name == owner else f"{obj['kind']}/{name}"


def content_hash(content: Any) -> str:  # noqa: ANN401 - any JSON value
    """16 hex of the content's canonical JSON; the same content gives the same hash in every process."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def sealed(obj: Obj) -> Obj:
    """The object with the hash of itself in an annotation, by which a later look knows it again."""
    annotations = {**obj["metadata"]["annotations"], labels.ANNOTATION_APPLIED_HASH: content_hash(obj)}
    return {**obj, "metadata": {**obj["metadata"], "annotations": annotations}}
