"""What a program asked of the API server and of the cloud, counted."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.localcluster.audit import Request, parse
from tools.simcloud import Request as CloudRequest

POOL_PATH = re.compile(r"/agentPools/([^/]+)$")
NODE_OF_POOL = re.compile(r"aks-(\w+)-\d+-vmss\d+")


@dataclass(frozen=True)
class Writes:
    """The writes of one program in one stretch of time.

    Attributes:
        by_kind: number of writes by (verb, resource), those of Leases and Events left out.
        by_object: number of writes by (resource, name); creations by POST have no name and are left out.
        events: writes of Events.
        refused: answers with an error, by (verb, resource, status).
    """

    by_kind: Mapping[tuple[str, str], int]
    by_object: Mapping[tuple[str, str], int]
    events: int
    refused: Mapping[tuple[str, str, int], int]

    @property
    def total(self) -> int:
        """All writes but those of Leases and Events."""
        return sum(self.by_kind.values())

    def most(self, resource: str) -> int:
        """The most writes that one object of a resource got."""
        return max((n for (kind, _), n in self.by_object.items() if kind == resource), default=0)

    def of(self, resource: str) -> int:
        """Writes of a resource, whatever the verb."""
        return sum(n for (_, kind), n in self.by_kind.items() if kind == resource)


def writes(requests: Iterable[Request], user: str) -> Writes:
    """Count the writes of a user.

    Args:
        requests: of the audit log.
        user: its name there.
    """
    by_kind: Counter[tuple[str, str]] = Counter()
    by_object: Counter[tuple[str, str]] = Counter()
    refused: Counter[tuple[str, str, int]] = Counter()
    events = 0
    for request in requests:
        if request.user != user or not request.is_write or request.resource == "leases":
            continue
        if request.resource == "events":
            events += 1
            continue
        by_kind[request.verb, request.resource] += 1
        if request.name and request.verb != "create":
            by_object[request.resource, request.name] += 1
        if request.status >= 400:
            refused[request.verb, request.resource, request.status] += 1
    return Writes(dict(by_kind), dict(by_object), events, dict(refused))


def stretch(log: Path, start: int, end: int) -> list[Request]:
    """Read what the audit log tells between two byte offsets, each at the end of a line."""
    with log.open("rb") as lines:
        lines.seek(start)
        return [parse(line) for line in lines.read(end - start).decode().splitlines()]


def reads(requests: Iterable[Request], user: str) -> dict[tuple[str, str], int]:
    """Count the GETs and LISTs of a user by (verb, resource); watches and Leases are left out."""
    found = (
        (request.verb, request.resource)
        for request in requests
        if request.user == user and request.verb in {"get", "list"} and request.resource != "leases"
    )
    return dict(Counter(found))


def most_per_claim(found: Writes) -> int:
    """The most writes that one claim led to, those of its node included."""
    by_claim: Counter[str] = Counter()
    for (resource, name), number in found.by_object.items():
        kind = resource.partition("/")[0]
        node = NODE_OF_POOL.fullmatch(name)
        if kind in {"machines", "nodeclaims"}:
            by_claim[name] += number
        elif kind == "nodes" and node:
            by_claim[node[1]] += number
    return max(by_claim.values(), default=0)


def pool_calls(requests: Iterable[CloudRequest], method: str) -> dict[str, int]:
    """Count the calls with this method for each pool, whatever their answer."""
    found = (POOL_PATH.search(request.path) for request in requests if request.method == method)
    return dict(Counter(match[1] for match in found if match))
