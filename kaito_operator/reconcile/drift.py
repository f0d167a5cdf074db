"""Does a live object still hold everything that we want of it?

Server-side apply would answer the same, at the price of a request per look. Comparing here keeps the
steady state at zero requests and notices another's edit of our fields also after a restart.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from kaito_operator.api.labels import ANNOTATION_APPLIED_HASH
from kaito_operator.reconcile.observed import Obj

# One entry too many changes what these mean, so they must be equal, not only contained.
_EXACT = frozenset({"selector", "matchLabels", "nodeSelector", "requests", "limits", "args", "command"})
# What identifies an element of a list, in the order of preference.
_KEYS = ("name", "mountPath", "port", "containerPort", "uid")


def needs_apply(desired: Obj, live: Obj | None, spelling: Obj | None = None) -> bool:
    """True when applying `desired` would change something that we own.

    Args:
        desired: as rendered, with its hash annotation.
        live: as stored by the API server, with its defaults; None when there is none.
        spelling: the API server's answer to an earlier apply, where it wrote what we want in other words.
            A user's template may say "1000m" or 1 where the stored object says "1".
    """
    if live is None:
        return True
    if _applied_hash(live) != _applied_hash(desired):
        return True
    if covers(live, desired):
        return False
    if spelling is None or _applied_hash(spelling) != _applied_hash(desired):
        return True
    return not covers(live, {**desired, "spec": spelling.get("spec")})


def _applied_hash(obj: Obj) -> str | None:
    annotations: Mapping[str, str] = obj["metadata"].get("annotations", {})
    return annotations.get(ANNOTATION_APPLIED_HASH)


def covers(live: Any, desired: Any, *, exact: bool = False) -> bool:  # noqa: ANN401 - any JSON value
    """True when `live` has every field and element of `desired`, whatever else it has.

    An absent field and an empty or false one are the same, as the API server drops those.
    """
    if isinstance(desired, Mapping):
        if not isinstance(live, Mapping):
            return not desired and live is None
        if exact and set(live) != set(desired):
            return False
        return all(covers(live.get(key), value, exact=key in _EXACT) for key, value in desired.items())
    if isinstance(desired, Sequence) and not isinstance(desired, str):
        return _covers_list(live if live is not None else [], desired, exact=exact)
    if not desired and not live:
        return True
    return bool(live == desired)


def _covers_list(live: Sequence[Any], desired: Sequence[Any], *, exact: bool) -> bool:
    key = _identity(desired)
    if exact or key is None:
        # The API server knows such a list only as a whole: tolerations, selector terms, capabilities.
        return len(live) == len(desired) and all(covers(a, b) for a, b in zip(live, desired, strict=True))
    by_key = {element.get(key): element for element in live if isinstance(element, Mapping)}
    return all(element[key] in by_key and covers(by_key[element[key]], element) for element in desired)


def _identity(elements: Sequence[Any]) -> str | None:
    for key in _KEYS:
        keyed = all(isinstance(e, Mapping) and key in e for e in elements)
        if elements and keyed and len({e[key] for e in elements}) == len(elements):
            return key
    return None
