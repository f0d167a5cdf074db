"""A manifest's text to a Workspace, or to what is wrong with it."""

import sys
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from kaito_operator.api import labels
from kaito_operator.api.workspace import Workspace
from kaito_operator.cli.structure import Fault, workspace_faults

_Loader = getattr(
    yaml, "CSafeLoader", yaml.SafeLoader
)  # the C parser is ten times faster, where there is one

MOST_FAULTS: Final = 20


class BadInputError(ValueError):
    """The input holds no Workspace that can be read.

    Attributes:
        faults: what is wrong, at least one.
    """

    def __init__(self, *found: Fault) -> None:
        super().__init__("; ".join(map(str, found)))
        self.faults = found


def read_workspace(file: str) -> Workspace:
    """The first Workspace of a file; "-" is the standard input.

    Raises:
        BadInputError: the file cannot be read, is no YAML, holds no Workspace, or one with faults.
    """
    return parse_workspace(_read(file))


def parse_workspace(text: str) -> Workspace:
    """The first Workspace of a text with one or more YAML documents.

    Raises:
        BadInputError: the text is no YAML, holds no Workspace, or one with faults.
    """
    body = _first_workspace(text)
    found = workspace_faults(body)[:MOST_FAULTS]
    if found:
        raise BadInputError(*found)
    try:
        return Workspace.model_validate({**body, "status": None})  # a plan is made from the wish alone
    except ValidationError as error:
        raise BadInputError(*map(_fault, error.errors())) from error


def _read(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise BadInputError(Fault("", f"{file} cannot be read: {error.strerror}")) from error
    except UnicodeDecodeError as error:
        raise BadInputError(Fault("", f"{file} is no text in UTF-8: {error.reason}")) from error


def _first_workspace(text: str) -> dict[str, Any]:
    kinds = []
    try:
        for document in yaml.load_all(text, Loader=_Loader):
            if isinstance(document, dict) and document.get("kind") == labels.KIND:
                return _of_our_version(document)
            if document is not None:
                kinds.append(str(document.get("kind")) if isinstance(document, dict) else "no object")
    except (yaml.YAMLError, RecursionError) as error:
        raise BadInputError(Fault("", f"this is not YAML: {' '.join(str(error).split())}")) from error
    holds = f"it holds: {', '.join(kinds)}" if kinds else "it is empty"
    raise BadInputError(Fault("kind", f"there is no {labels.KIND} in this input; {holds}"))


def _of_our_version(document: dict[str, Any]) -> dict[str, Any]:
    version = document.get("apiVersion")
    if version != labels.API_VERSION:
        raise BadInputError(Fault("apiVersion", f"{version!r} is not served; write {labels.API_VERSION}"))
    return document


def _fault(error: Any) -> Fault:  # noqa: ANN401 - pydantic's own dictionary
    return Fault(".".join(str(step) for step in error["loc"]), str(error["msg"]))
