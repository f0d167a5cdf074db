"""What the executor does with claims, against an API server in memory."""

from typing import Any, cast

import pytest

from kaito_operator.api.labels import ANNOTATION_WORKSPACE_UID, FINALIZER
from kaito_operator.kube.client import Kube
from kaito_operator.kube.errors import Conflict, NotFound, Refused, Unavailable
from kaito_operator.kube.events import EventRecorder
from kaito_operator.kube.execute import Executor
from kaito_operator.reconcile.decision import Decision, EventDraft, ObjectRef
from kaito_operator.shell.stores import Stores
from tests.support.objects import NOW, Obj, a_claim, a_workspace, at

KEY = ("ns", "ws")
MACHINES = "/apis/karpenter.sh/v1alpha5/machines"
WORKSPACE = "/apis/kaito.sh/v1alpha1/namespaces/ns/workspaces/ws"


class Server:
    """Objects by path; takes down what is asked of it, and fails as it is told, once per entry."""

    def __init__(self) -> None:
        self.objects: dict[str, Obj] = {WORKSPACE: a_workspace()}
        self.calls: list[tuple[str, str]] = []
        self.errors: dict[str, list[Exception]] = {}
        self.version = 10

    def _call(self, verb: str, path: str) -> None:
        self.calls.append((verb, path.rsplit("/", 1)[-1]))
        if waiting := self.errors.get(verb):
            raise waiting.pop(0)

    def _stored(self, path: str, obj: Obj) -> Obj:
        self.version += 1
        stored = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.version)}}
        self.objects[path] = stored
        return stored

    async def get(self, path: str) -> Obj:
        self._call("get", path)
        if path not in self.objects:
            raise NotFound(404, "no such object")
        return self.objects[path]

    async def create(self, path: str, obj: Obj) -> Obj:
        if path.endswith("/events"):
            self._call("event", path)
            return obj
        name = obj["metadata"]["name"]
        self._call("create", name)
        if f"{path}/{name}" in self.objects:
            raise Conflict(409, "exists already")
        return self._stored(f"{path}/{name}", {**obj, "metadata": {**obj["metadata"], "uid": f"uid-{name}"}})

    async def delete(self, path: str, uid: str) -> Obj:
        self._call("delete", path)
        if path not in self.objects:
            raise NotFound(404, "no such object")
        found = self.objects[path]
        if found["metadata"]["uid"] != uid:
            raise Conflict(409, "another uid")
        return self._stored(path, {**found, "metadata": {**found["metadata"], "deletionTimestamp": at(0)}})

    async def merge(self, path: str, patch: Obj) -> Obj:
        self._call("merge", path)
        found = self.objects[path]
        return self._stored(path, {**found, "metadata": {**found["metadata"], **patch["metadata"]}})

    async def merge_status(self, path: str, version: str, status: Obj) -> Obj:
        self._call("status", path)
        assert version == self.objects[path]["metadata"]["resourceVersion"]
        return self._stored(path, {**self.objects[path], "status": status})


class Bench:
    def __init__(self) -> None:
        self.server, self.stores = Server(), Stores()
        self.stores.workspaces.put(a_workspace())
        kube = cast("Kube", self.server)  # it has the calls that are used here
        self.executor = Executor(kube, EventRecorder(kube), self.stores, lambda: NOW)

    async def execute(self, **decision: Any) -> bool:
        return await self.executor.execute(a_workspace(), Decision(**decision))

    def holds(self, claim: Obj, *, known: bool = True) -> Obj:
        """The server has this claim; the operator has seen it where it is known."""
        path = f"{MACHINES}/{claim['metadata']['name']}"
        stored = self.server._stored(path, {**claim, "apiVersion": "karpenter.sh/v1alpha5"})
        if known:
            self.stores.remember(stored)
        return stored

    @property
    def verbs(self) -> list[str]:
        return [verb for verb, _ in self.server.calls]

    def refusal(self, child: str) -> Any:
        return self.stores.refusals.get(KEY, {}).get(child)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def new(name: str = "ws1") -> Obj:
    claim = a_claim(name)
    for key in ("uid", "creationTimestamp"):
        del claim["metadata"][key]
    return {**claim, "apiVersion": "karpenter.sh/v1alpha5"}


def ref(name: str = "ws1", uid: str = "") -> ObjectRef:
    return ObjectRef("Machine", "", name, uid or f"uid-{name}")


async def test_the_finalizer_comes_before_the_claims_the_status_after_them_and_deletions_last(
    bench: Bench,
) -> None:
    bench.holds(a_claim("old"))
    await bench.execute(
        finalizers=(FINALIZER,),
        create=(new("ws1"), new("ws2")),
        status={"phase": "Launching"},
        events=(EventDraft("Normal", "NodeLaunching", "x"),),
        delete=(ref("old"),),
    )
    assert bench.verbs == ["merge", "create", "create", "status", "event", "delete"]


async def test_no_claim_is_made_for_a_workspace_that_is_gone(bench: Bench) -> None:
    bench.server.errors["merge"] = [NotFound(404, "gone")]
    assert not await bench.execute(finalizers=(FINALIZER,), create=(new(),), status={"phase": "x"})
    assert bench.verbs == ["merge"]


async def test_no_claim_is_made_where_the_finalizer_could_not_be_stored(bench: Bench) -> None:
    bench.server.errors["merge"] = [Conflict(409, "changed")]
    with pytest.raises(Conflict):
        await bench.execute(finalizers=(FINALIZER,), create=(new(),))
    assert bench.verbs == ["merge"]


async def test_no_claim_is_deleted_before_the_status_that_speaks_of_it_is_stored(bench: Bench) -> None:
    bench.holds(a_claim("ws1"))
    bench.server.errors["status"] = [Unavailable(0, "down")]
    with pytest.raises(Unavailable):
        await bench.execute(status={"phase": "x"}, delete=(ref(),))
    assert "delete" not in bench.verbs


async def test_a_claim_that_was_made_is_known_at_once(bench: Bench) -> None:
    assert not await bench.execute(create=(new(),))
    assert [c["metadata"]["uid"] for c in bench.stores.claims_of(KEY)] == ["uid-ws1"]


async def test_a_claim_that_exists_is_left_as_it_is_and_taken_in(bench: Bench) -> None:
    before = bench.holds(a_claim("ws1", instance_type="Bought"), known=False)
    assert not await bench.execute(create=(new(),))
    assert bench.verbs == ["create", "get"]
    assert [c["spec"] for c in bench.stores.claims_of(KEY)] == [before["spec"]]


REFUSED = [(Refused(403, "quota"), False), (NotFound(404, "the server could not find it"), True)]


@pytest.mark.parametrize(("error", "unknown"), REFUSED)
async def test_a_refused_claim_is_news_once_and_so_is_its_end(
    bench: Bench, error: Exception, unknown: bool
) -> None:
    bench.server.errors["create"] = [error, error]
    assert await bench.execute(create=(new(),), status={"phase": "x"})
    assert "status" in bench.verbs, "it keeps nothing from being told"
    assert (bench.refusal("Machine").unknown_kind, bench.refusal("Machine").at) == (unknown, NOW)
    assert not await bench.execute(create=(new(),))
    assert await bench.execute(create=(new(),))
    assert bench.refusal("Machine") is None


async def test_an_api_server_that_does_not_answer_ends_the_step(bench: Bench) -> None:
    bench.server.errors["create"] = [Unavailable(0, "timed out")]
    with pytest.raises(Unavailable):
        await bench.execute(create=(new(),), status={"phase": "x"})
    assert "status" not in bench.verbs
    assert bench.refusal("Machine") is None


async def test_a_deleted_claim_is_known_to_be_going_at_once(bench: Bench) -> None:
    bench.holds(a_claim("ws1"))
    assert await bench.execute(delete=(ref(),))
    (known,) = bench.stores.claims_of(KEY)
    assert "deletionTimestamp" in known["metadata"]


@pytest.mark.parametrize("uid", ["", "uid-of-an-earlier-one"])
async def test_a_claim_that_is_gone_or_another_is_no_fault(bench: Bench, uid: str) -> None:
    if uid:
        bench.holds(a_claim("ws1"))
    assert not await bench.execute(delete=(ref(uid=uid),))


async def test_a_refused_deletion_is_news_once_and_keeps_no_other_from_being_done(bench: Bench) -> None:
    for name in ("ws1", "ws2"):
        bench.holds(a_claim(name))
    bench.server.errors["delete"] = [Refused(403, "rbac")]
    assert await bench.execute(delete=(ref("ws1"), ref("ws2")))
    assert bench.server.calls == [("delete", "ws1"), ("delete", "ws2")]


async def test_a_refused_deletion_is_remembered_until_it_is_done(bench: Bench) -> None:
    bench.holds(a_claim("ws1"))
    bench.server.errors["delete"] = [Refused(403, "rbac"), Refused(403, "rbac")]
    assert await bench.execute(delete=(ref(),))
    assert bench.refusal("delete").message == "rbac"
    assert not await bench.execute(delete=(ref(),)), "told already"
    assert await bench.execute(delete=(ref(),))
    assert bench.refusal("delete") is None


def an_orphan(name: str = "ws1", **metadata: Any) -> Obj:
    claim = a_claim(name)
    claim["metadata"] |= {"annotations": {ANNOTATION_WORKSPACE_UID: "ws-uid"}, **metadata}
    return claim


async def test_an_orphan_of_ours_is_deleted_once_its_workspace_is_surely_gone(bench: Bench) -> None:
    orphan = bench.holds(an_orphan())
    await bench.executor.delete_orphans(KEY, [orphan])
    assert bench.verbs == ["get"], "the store may lag"
    del bench.server.objects[WORKSPACE]
    await bench.executor.delete_orphans(KEY, [orphan])
    assert bench.verbs == ["get", "get", "delete"]


async def test_claims_that_are_going_or_not_ours_are_no_orphans(bench: Bench) -> None:
    del bench.server.objects[WORKSPACE]
    theirs, going = bench.holds(a_claim("ws1")), bench.holds(an_orphan("ws2", deletionTimestamp=at(0)))
    await bench.executor.delete_orphans(KEY, [theirs, going])
    assert bench.verbs == []
