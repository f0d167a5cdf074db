"""Operations: the long-running work that a PUT or a DELETE starts, as its client polls it."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

Kind = Literal["create", "delete", "upgrade"]
Status = Literal["InProgress", "Succeeded", "Failed", "Canceled"]
Json = dict[str, Any]


@dataclass
class Operation:
    """One operation.

    Attributes:
        id: unguessable, unique.
        kind: what it does.
        pool: name of the pool that it changes.
        status: Azure's word.
        started: ISO 8601.
        ended: the same, or empty.
        code, message: of the error, where it failed.
    """

    id: str
    kind: Kind
    pool: str
    status: Status
    started: str
    ended: str = ""
    code: str = ""
    message: str = ""

    @classmethod
    def start(cls, kind: Kind, pool: str) -> "Operation":
        """Begin one."""
        return cls(secrets.token_hex(16), kind, pool, "InProgress", _now())

    def end(self, status: Status, code: str = "", message: str = "") -> None:
        """Note how it ended."""
        self.status, self.ended, self.code, self.message = status, _now(), code, message

    @property
    def running(self) -> bool:
        """It has not ended."""
        return self.status == "InProgress"

    def resource(self) -> Json:
        """Write it as the service answers it."""
        body: Json = {"name": self.id, "status": self.status, "startTime": self.started}
        if self.ended:
            body["endTime"] = self.ended
        if self.code:
            body["error"] = {"code": self.code, "message": self.message}
        return body


def _now() -> str:
    return datetime.now(UTC).isoformat()
