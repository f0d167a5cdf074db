"""Errors in OpenAI's shape: {"error": {"message", "type", "param", "code"}}."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

_MOST_PROBLEMS = 5
_LONGEST_WORD = 64

# Status to OpenAI's type and code. Their clients tell errors apart by the status, programs by the code.
_KINDS: dict[int, tuple[str, str | None]] = {
    401: ("invalid_request_error", "invalid_api_key"),
    404: ("invalid_request_error", "model_not_found"),
    408: ("timeout", "request_timeout"),
    413: ("invalid_request_error", "request_too_large"),
    429: ("requests", "rate_limit_exceeded"),
    503: ("server_error", "service_unavailable"),
}


class ErrorDetail(BaseModel):
    """`param` is the field of the request that is wrong, where it is one."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """The body of every error under /v1."""

    error: ErrorDetail


def error_body(
    status: int, message: str, *, param: str | None = None, code: str | None = None
) -> dict[str, object]:
    """Return the body of an error. `code` replaces the one that belongs to the status."""
    kind = ("server_error" if status >= 500 else "invalid_request_error", None)
    type_, usual = _KINDS.get(status, kind)
    error = {"message": message, "type": type_, "param": param, "code": code or usual}
    return {"error": error}


def problems(errors: Sequence[Mapping[str, Any]]) -> tuple[str, str | None]:
    """Put pydantic's errors into one sentence without the client's values, and the first field's name."""
    sentences = [_sentence(error) for error in errors[:_MOST_PROBLEMS]]
    more = len(errors) - len(sentences)
    if more:
        sentences.append(f"and {more} more")
    where = _path(errors[0]) if errors else ""
    return "; ".join(dict.fromkeys(sentences)), where or None


def _sentence(error: Mapping[str, Any]) -> str:
    where = _path(error)
    match error["type"]:
        case "json_invalid":
            return f"the body is not valid JSON: {error.get('ctx', {}).get('error', 'cannot be read')}"
        case "value_error":
            said = str(error["ctx"]["error"])
        case "none_required" if where == "suffix":
            said = "not offered: these models only go on with a text; leave it out"
        case "missing" if where:
            said = "this field is needed"
        case _:
            said = str(error["msg"])
    if not where:
        wrong_body = error["type"] in ("missing", "model_attributes_type", "model_type", "dict_type")
        return "the body has to be a JSON object, with Content-Type: application/json" if wrong_body else said
    return f"{where}: {said}"


def _path(error: Mapping[str, Any]) -> str:
    """Return a field's path. Keys of the client's own stand in it: shortened, and safe to send back."""
    if error["type"] == "json_invalid":
        return ""
    parts = [str(part)[:_LONGEST_WORD] for part in error["loc"] if part != "body"]
    return ".".join(parts).encode("utf-8", "replace").decode()
