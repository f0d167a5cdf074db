"""What all tables have in common: strict frozen rows, and errors that name the row and the field."""

from importlib import resources
from typing import TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

R = TypeVar("R", bound="Row")

# The C parser reads the tables ten times faster; wheels of PyYAML bring it, a build from source may not.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class CatalogError(ValueError):
    """A table cannot be used; the message names the row, the field and what is wrong with it."""


class Row(BaseModel):
    """A piece of a table: frozen, no unknown keys, no guessing of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def read_table(name: str) -> str:
    """The text of a table that is part of this package."""
    return resources.files("presets").joinpath(name).read_text(encoding="utf-8")


def parse_rows(text: str, *, table: str, key: str, kind: type[R]) -> tuple[R, ...]:
    """The rows of a table's text.

    Raises:
        CatalogError: the text is no YAML, has another shape, or a row is wrong.
    """
    try:
        document = yaml.load(text, Loader=_Loader)  # noqa: S506 - either loader is a safe one
    except yaml.YAMLError as error:
        msg = f"{table} is not YAML: {error}"
        raise CatalogError(msg) from error
    rows = document.get(key) if isinstance(document, dict) and len(document) == 1 else None
    if not isinstance(rows, list) or not rows:
        msg = f"{table} needs exactly one key, `{key}`, with a list of rows"
        raise CatalogError(msg)
    return tuple(_parse_row(number, row, table, kind) for number, row in enumerate(rows, start=1))


def _parse_row(number: int, row: object, table: str, kind: type[R]) -> R:
    try:
        return kind.model_validate(row)
    except ValidationError as error:
        name = row.get("name") if isinstance(row, dict) else None
        faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'row'}: {e['msg']}" for e in error.errors())
        msg = f"{table}, row {number} ({name}): {faults}"
        raise CatalogError(msg) from error
