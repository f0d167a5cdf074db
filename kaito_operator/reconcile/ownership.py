"""Whose child is it?"""

from typing import Any

from kaito_operator.api.labels import ANNOTATION_APPLIED_HASH, API_VERSION, KIND
from kaito_operator.reconcile.observed import Obj


def controller_of(obj: Obj) -> dict[str, Any]:
    """The owner reference that is the controller, empty when there is none."""
    for reference in obj["metadata"].get("ownerReferences", ()):
        if reference.get("controller"):
            return dict(reference)
    return {}


def is_owned_by(obj: Obj, uid: str) -> bool:
    """True when the object is a child of the Workspace with this uid.

    One that we once applied and that has lost its owner, by an edit or an orphaning delete, counts as ours:
    it says so by our annotation, and nobody else lays claim to it.
    """
    owner = controller_of(obj)
    if not owner:
        return ANNOTATION_APPLIED_HASH in obj["metadata"].get("annotations", {})
    return bool(owner.get("uid") == uid)


def is_left_over(obj: Obj, uid: str) -> bool:
    """True for the child of an earlier Workspace of the same name, which garbage collection will remove."""
    owner = controller_of(obj)
    return owner.get("kind") == KIND and owner.get("apiVersion") == API_VERSION and owner.get("uid") != uid
