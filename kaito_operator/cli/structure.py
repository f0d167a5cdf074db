"""What a strict API server would refuse in a manifest, as far as the schema says it without CEL.

Covered are unknown fields, types, ranges, lengths, choices, required fields, and the formats of texts. Rules
that look at several fields, or at what is stored, are left to the API server and to the planner.
"""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typing_extensions import override

from kaito_operator.api.workspace import Workspace

_WORDS: Final[Mapping[type, str]] = {
    dict: "a mapping",
    list: "a list",
    str: "a text",
    int: "a whole number",
    bool: "true or false",
}
_NOT_OURS: Final = frozenset({"metadata", "status"})
"""The API server knows more fields of metadata than we read, and status is nobody's to write."""

_FORMAT_RULE: Final = re.compile(r"self\.matches\(r'\^\(([^']*)\)\$'\)")


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with an input.

    Attributes:
        path: of the field, from the root of the object; empty for the whole of it.
        cause: what is wrong with it and what to write.
    """

    path: str
    cause: str

    @override
    def __str__(self) -> str:
        return f"{self.path}: {self.cause}" if self.path else self.cause


def workspace_faults(body: Mapping[str, Any]) -> list[Fault]:
    """Everything that is wrong with a Workspace, in the order of its fields; metadata and status excepted."""
    return list(_faults(body, _Node(Workspace), ""))


class _Node:
    """What may stand in one place: the type of a model's field, and the hints that it carries for the CRD."""

    def __init__(self, annotation: Any, hints: Any = None) -> None:  # noqa: ANN401 - types and hints of any field
        own = dict(hints) if isinstance(hints, Mapping) else {}
        while (origin := get_origin(annotation)) in {Annotated, Union, UnionType}:
            first, *others = get_args(annotation)
            for other in others if origin is Annotated else ():
                extra = getattr(other, "json_schema_extra", None)
                own = {**(extra if isinstance(extra, Mapping) else {}), **own}
            annotation = first  # of a union the other is None
        self.annotation = annotation
        self.hints: Mapping[str, Any] = own
        if origin is Literal:
            self.hints = {**own, "enum": get_args(annotation)}

    @property
    def kind(self) -> type | None:
        """The Python type of the value; None where anything may stand."""
        if isinstance(self.annotation, type) and issubclass(self.annotation, BaseModel):
            return dict
        origin = str if "enum" in self.hints else get_origin(self.annotation) or self.annotation
        return origin if origin in _WORDS else None

    @property
    def fields(self) -> Mapping[str, FieldInfo]:
        """By the names that they have in a manifest; empty where keys are the user's own."""
        if not (isinstance(self.annotation, type) and issubclass(self.annotation, BaseModel)):
            return {}
        return {field.alias or name: field for name, field in self.annotation.model_fields.items()}

    def below(self) -> "_Node":
        """The node of a list's items, or of a mapping's values."""
        return _Node(get_args(self.annotation)[-1])


def _faults(value: object, node: _Node, path: str) -> Iterator[Fault]:
    if node.kind is None:
        return
    if not _is_a(value, node.kind):
        yield Fault(path, f"{_shown(value)} is not {_WORDS[node.kind]}")
        return
    yield from _beyond_limits(value, node.hints, path)
    if isinstance(value, dict):
        yield from _in_fields(value, node.fields, path) if node.fields else _in_mapping(value, node, path)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _faults(item, node.below(), f"{path}[{number}]")


def _is_a(value: object, kind: type) -> bool:
    is_truth = isinstance(value, bool)
    return isinstance(value, kind) and (not is_truth or kind is bool)


def _shown(value: object) -> str:
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _in_fields(value: Mapping[Any, Any], fields: Mapping[str, FieldInfo], path: str) -> Iterator[Fault]:
    for name, field in fields.items():
        if field.is_required() and value.get(name) is None:
            yield Fault(_join(path, name), "is missing")
    for key, child in value.items():
        name = _join(path, str(key))
        if key not in fields:
            yield Fault(name, f"there is no such field{_nearest(str(key), list(fields))}")
        elif child is not None and name not in _NOT_OURS:  # the API server reads null as absent
            yield from _faults(child, _Node(fields[key].annotation, fields[key].json_schema_extra), name)


def _in_mapping(value: Mapping[Any, Any], node: _Node, path: str) -> Iterator[Fault]:
    for key, child in value.items():
        yield from _faults(child, node.below(), _join(path, str(key)))


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _nearest(name: str, known: Sequence[str]) -> str:
    similar = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {similar[0]}?" if similar else f"; these are: {', '.join(known)}"


def _beyond_limits(value: Any, hints: Mapping[str, Any], path: str) -> Iterator[Fault]:  # noqa: ANN401 - any YAML
    if "enum" in hints and value not in hints["enum"]:
        yield Fault(path, f"{_shown(value)} is none of {', '.join(hints['enum'])}")
    if "minimum" in hints and value < hints["minimum"]:
        yield Fault(path, f"{value} is too small; write at least {hints['minimum']}")
    if "maximum" in hints and value > hints["maximum"]:
        yield Fault(path, f"{value} is too large; write at most {hints['maximum']}")
    for keyword, what in (("maxLength", "characters"), ("maxItems", "items"), ("maxProperties", "keys")):
        if _length(value) > hints.get(keyword, _length(value)):
            yield Fault(path, f"has {len(value)} {what}; at most {hints[keyword]} are allowed")
            return
    for rule in hints.get("x-kubernetes-validations", ()):
        if isinstance(value, str) and not _has_format(value, rule["rule"]):
            yield Fault(path, f"{_shown(value)}: {rule['message']}")


def _length(value: object) -> int:
    return len(value) if isinstance(value, str | list | dict) else 0


def _has_format(text: str, rule: str) -> bool:
    """Whether the text has the form that a rule of one pattern asks for; True for any other rule."""
    pattern = _FORMAT_RULE.fullmatch(rule)
    if pattern is None:
        return True
    try:
        return re.fullmatch(pattern[1], text) is not None
    except re.error:  # RE2 allows flags in the middle, Python does not: the API server will tell
        return True
