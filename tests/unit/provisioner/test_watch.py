"""Watch events fill the stores and wake the claims they concern."""

import asyncio
from typing import Any

import pytest

from kaito_operator.provisioner.stores import ClaimStores
from kaito_operator.provisioner.watch import ClaimWatch
from kaito_operator.shell.watch import Kind
from kaito_operator.shell.workqueue import WorkQueue
from tests.unit.provisioner.objects import a_machine, a_node, a_node_claim, readiness

NAME = "ws0123abcde"


class Events:
    """A watch without an API server."""

    def __init__(self) -> None:
        self.stores = ClaimStores()
        self.queue: WorkQueue[tuple[str, str]] = WorkQueue()
        self.relisted: list[str] = []
        self.watch = ClaimWatch(
            self.stores, self.queue, asyncio.Event(), lambda kind: self.relisted.append(kind.plural)
        )
        self._version = 1

    def kind(self, plural: str) -> Kind:
        return next(kind for kind in self.watch.kinds if kind.plural == plural)

    def send(self, plural: str, event: str | None, obj: dict[str, Any]) -> set[tuple[str, str]]:
        """Whom it wakes."""
        self._version += 1
        metadata = {**obj["metadata"], "resourceVersion": str(self._version)}
        body = {k: v for k, v in obj.items() if k != "kind"} | {"metadata": metadata}
        if event != "DELETED":
            self.watch.take(self.kind(plural), body)
        self.watch.announce(self.kind(plural), event, body)
        return self._woken()

    def _woken(self) -> set[tuple[str, str]]:
        found = set()
        while len(self.queue):
            key = asyncio.run(self.queue.get())
            self.queue.done(key)
            found.add(key)
        return found


@pytest.fixture
def events() -> Events:
    return Events()


def test_a_claim_wakes_itself(events: Events) -> None:
    assert events.send("machines", "ADDED", a_machine()) == {("Machine", NAME)}
    assert events.stores.claim(("Machine", NAME)) is not None
    assert events.send("machines", "DELETED", a_machine()) == {("Machine", NAME)}
    assert events.stores.claim(("Machine", NAME)) is None


def test_a_node_wakes_the_claim_of_its_pool(events: Events) -> None:
    events.send("nodeclaims", "ADDED", a_node_claim("my-claim", uid="u"))
    pool = next(iter(events.stores._claims_of))
    assert events.send("nodes", "ADDED", a_node(pool)) == {("NodeClaim", "my-claim")}
    assert [node.name for node in events.stores.nodes_of(pool)] == [a_node(pool)["metadata"]["name"]]


def test_a_heartbeat_wakes_nobody(events: Events) -> None:
    events.send("machines", "ADDED", a_machine())
    node = a_node(NAME)
    events.send("nodes", "ADDED", node)
    beat = {**readiness(True), "lastHeartbeatTime": "2026-01-02T03:04:05Z"}
    assert (
        events.send("nodes", "MODIFIED", {**node, "status": {**node["status"], "conditions": [beat]}})
        == set()
    )
    assert events.send("nodes", "MODIFIED", {**node, "status": {"conditions": [readiness(False)]}}) != set()


def test_nodes_of_others_wake_nobody(events: Events) -> None:
    events.send("machines", "ADDED", a_machine())
    assert events.send("nodes", "ADDED", a_node("systempool")) == set()


def test_a_marked_node_without_a_claim_is_looked_at_itself(events: Events) -> None:
    orphan = a_node("gone", labels={"kaito.sh/claim-uid": "u"})
    assert events.send("nodes", "ADDED", orphan) == {("Node", orphan["metadata"]["name"])}


def test_claims_of_others_are_seen_and_not_served(events: Events) -> None:
    theirs = a_node_claim(nodeClassRef={"group": "karpenter.azure.com", "kind": "AKSNodeClass", "name": "x"})
    theirs["metadata"]["labels"] = {}
    events.send("nodeclaims", "ADDED", theirs)
    assert events.stores.claim(("NodeClaim", NAME)) is None
    assert events.stores.claims_of(NAME) == set()


def test_a_kind_that_is_listed_again_is_swept(events: Events) -> None:
    events.send("machines", None, a_machine())
    assert events.relisted == []
    events.send("machines", None, a_machine())
    assert events.relisted == ["machines"]
