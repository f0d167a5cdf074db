"""The API server's audit log: what is logged, and how a test counts requests in it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

# Metadata of every request once, when its answer is complete: who, which verb, which object, with
# which result. Bodies are never logged: they may hold secrets.
POLICY = yaml.safe_dump(
    {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived", "ResponseStarted"],
        "rules": [{"level": "Metadata"}],
    },
    sort_keys=False,
)
WRITE_VERBS = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True)
class Request:
    """One finished request.

    Attributes:
        verb: get, list, watch, create, update, patch, delete or deletecollection.
        user: the authenticated user's name.
        user_agent: what the client calls itself.
        resource: plural name with the subresource, such as ``workspaces/status``; empty for other URLs.
        namespace: empty for cluster-scoped objects.
        name: empty for lists, and for creations (their URL has none).
        status: HTTP status of the answer.
        time: when it was answered, RFC 3339 with microseconds, so that texts compare as times.
    """

    verb: str
    user: str
    user_agent: str
    resource: str
    namespace: str
    name: str
    status: int
    time: str

    @property
    def is_write(self) -> bool:
        """True for the verbs that change something."""
        return self.verb in WRITE_VERBS


def parse(line: str) -> Request:
    """Read one line of the log."""
    event: dict[str, Any] = json.loads(line)
    target: dict[str, str] = event.get("objectRef", {})
    parts = (target.get("resource", ""), target.get("subresource", ""))
    return Request(
        verb=event["verb"],
        user=event.get("user", {}).get("username", ""),
        user_agent=event.get("userAgent", ""),
        resource="/".join(part for part in parts if part),
        namespace=target.get("namespace", ""),
        name=target.get("name", ""),
        status=event.get("responseStatus", {}).get("code", 0),
        time=event["stageTimestamp"],
    )


def end_of(log: Path) -> int:
    """Give the log's present length in bytes, from which requests() reads what comes later."""
    return log.stat().st_size if log.exists() else 0


def requests(log: Path, start: int = 0) -> Iterator[Request]:
    """Read the requests that were logged after a byte offset; a half-written last line is left out."""
    with log.open("rb") as lines:
        lines.seek(start)
        for line in lines:
            if line.endswith(b"\n"):
                yield parse(line.decode())
