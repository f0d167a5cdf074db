"""The admission tables as rows: manifests made from a base and a few dotted paths.

A row in YAML says what it shows (`name`), which of bases.yaml it starts from (`base`), what it sets (`set`;
null removes), how it changes the stored object (`change`, `mend`; null removes), and the answer: `accepted`,
or in `refused` a part of the API server's message. "<null>" stands for a null that is sent, "<N adapters>"
for a list of N good adapters.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from kaito_operator.api import labels

Manifest = dict[str, Any]

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[2] / "examples"


@dataclass(frozen=True)
class Row:
    """One claim about what the API server admits.

    refused: part of the message with which it refuses the manifest or its change; None if it accepts.
    mend: a change that repairs a stored object, and is accepted; empty where only a new object helps.
    """

    name: str
    manifest: Manifest
    change: Manifest = field(default_factory=dict)
    refused: str | None = None
    mend: Manifest = field(default_factory=dict)


def create_rows() -> list[Row]:
    """The objects that users create, the examples among them."""
    rows = [row for path in sorted((HERE / "create").iterdir()) for row in _load(path)]
    return rows + [
        Row(f"the example {path.name}", document)
        for path in sorted(EXAMPLES.rglob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
        if document["kind"] == labels.KIND
    ]


def update_rows() -> list[Row]:
    """The changes that users make."""
    return _load(HERE / "update.yaml")


def stored_rows() -> list[Row]:
    """Objects that only v0.3.0's CRD let in, and changes that would make each of them worse."""
    return _load(HERE / "stored.yaml")


def _load(path: Path) -> list[Row]:
    bases = yaml.safe_load((HERE / "bases.yaml").read_text(encoding="utf-8"))
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [_row(entry, bases) for entry in entries]


def _row(entry: Mapping[str, Any], bases: Mapping[str, Manifest]) -> Row:
    unknown = set(entry) - {"name", "base", "set", "change", "accepted", "refused", "mend"}
    if unknown or ("accepted" in entry) == ("refused" in entry):
        raise ValueError(f"row {entry['name']!r}: unknown keys {unknown}, or not one of accepted and refused")
    manifest = {"metadata": {"name": "row"}, **copy.deepcopy(bases[entry["base"]])}
    for path, value in entry.get("set", {}).items():
        _assign(manifest, path.split("."), value)
    change, mend = _patch(entry.get("change", {})), _patch(entry.get("mend", {}))
    return Row(entry["name"], manifest, change, entry.get("refused"), mend)


def _assign(node: Manifest | list[Any], steps: list[str], value: object) -> None:
    """Set the value at the path, or remove it when the value is None."""
    first, *rest = steps
    if isinstance(node, list):
        _assign(node[int(first)], rest, value)
    elif rest:
        _assign(node.setdefault(first, {}), rest, value)
    elif value is None:
        del node[first]
    else:
        node[first] = _filled(value)


def _patch(values: Mapping[str, Any]) -> Manifest:
    """Dotted paths as a merge patch, in which None means removal."""
    patch: Manifest = {}
    for path, value in values.items():
        *parents, last = path.split(".")
        node = patch
        for step in parents:
            node = node.setdefault(step, {})
        node[last] = _filled(value)
    return patch


def _filled(value: object) -> object:
    """The value with "<null>" and "<N adapters>" replaced by what they stand for."""
    if isinstance(value, dict):
        return {key: _filled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item) for item in value]
    if value == "<null>":
        return None
    if isinstance(value, str) and value.endswith(" adapters>"):
        count = int(value.removeprefix("<").removesuffix(" adapters>"))
        return [{"source": {"name": f"a{n}", "image": f"r.example.com/a/a{n}:1"}} for n in range(count)]
    return value
