"""Publication: which revision each public name means, from the adapters that are loaded. No I/O."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from inference_server.engine import BASE, Combination

_DIGEST_LENGTH = 12  # of hexadecimal digits: what the sidecar's folders have too


@dataclass(frozen=True)
class Serving:
    """A loaded adapter. `whole` is what a sum of adapters would drop of it, '' if nothing."""

    name: str
    revision: str
    strength: float
    whole: str = ""


@dataclass(frozen=True)
class Recipe:
    """How a combined revision is made: revisions with their strengths."""

    parts: Mapping[str, float]
    how: Combination


@dataclass(frozen=True)
class Publication:
    """What clients can ask for.

    `merge` is the revision of the Workspace's own name, `names` that of each adapter's. `recipes` are the
    combined revisions among them. `apart` has, for adapters that are not in the merge though their strength
    is not 0, the reason.
    """

    merge: str = BASE
    names: Mapping[str, str] = field(default_factory=dict)
    recipes: Mapping[str, Recipe] = field(default_factory=dict)
    apart: Mapping[str, str] = field(default_factory=dict)

    def revisions(self) -> set[str]:
        """Return every revision that has to be there: those of names, and what they are made of."""
        made_of = {part for recipe in self.recipes.values() for part in recipe.parts}
        return ({self.merge, *self.names.values()} | made_of) - {BASE}


def publish(serving: Sequence[Serving], how: Combination) -> Publication:
    """Name what is loaded.

    The merge is the strength-weighted sum of all adapters that can be summed. One that cannot is the merge
    only if it is the only one, with strength 1. By its own name each adapter acts alone, times its strength.
    """
    recipes: dict[str, Recipe] = {}
    counted = [adapter for adapter in serving if adapter.strength != 0]
    if len(counted) == 1 and counted[0].whole and counted[0].strength == 1:
        merge, apart = counted[0].revision, {}
    else:
        sum_parts = {adapter.revision: adapter.strength for adapter in counted if not adapter.whole}
        merge = _combined(sum_parts, how, recipes)
        apart = {adapter.name: _why_apart(adapter) for adapter in counted if adapter.whole}
    names = {adapter.name: _alone(adapter, recipes) for adapter in serving}
    return Publication(merge, names, recipes, apart)


def _alone(adapter: Serving, recipes: dict[str, Recipe]) -> str:
    if adapter.whole:  # it has no strength other than 1
        return adapter.revision
    return _combined({adapter.revision: adapter.strength}, "cat", recipes)


def _combined(parts: Mapping[str, float], how: Combination, recipes: dict[str, Recipe]) -> str:
    """Return the revision of a combination, and write its recipe down if there is anything to do."""
    left = {revision: strength for revision, strength in parts.items() if strength != 0}
    if not left:
        return BASE
    if len(left) == 1:
        how = "cat"  # with one adapter all ways are the same
        ((revision, strength),) = left.items()
        if strength == 1:
            return revision
    text = json.dumps([sorted(left.items()), how])
    name = f"merge@{hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LENGTH]}"
    recipes[name] = Recipe(left, how)
    return name


def _why_apart(adapter: Serving) -> str:
    return (
        f"it has {adapter.whole}, which a sum of adapters would drop: it acts on requests that name it as "
        "their model, and not on others. Alone and with strength 1 it would act on all"
    )
