"""Usage: what a request cost, carried from the route to the line that is logged about it."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any, cast

_KEY = "inference_server.http.usage"


@dataclass
class Usage:
    """Tokens of one request, None where it used no model.

    `code` is how a request really ended whose response had begun with another status; 0: as its status says.
    """

    request_id: str = ""
    tokens_in: int | None = None
    tokens_out: int | None = None
    code: int = 0

    @classmethod
    def of(cls, scope: MutableMapping[str, Any]) -> Usage:
        """Return the Usage of the request with this ASGI scope, made on the first call."""
        return cast(Usage, scope.setdefault(_KEY, cls()))
