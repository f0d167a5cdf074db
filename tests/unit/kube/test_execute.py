"""What the executor sends, in which order, and what it learns, against an API server in memory."""

from datetime import timedelta
from typing import Any, cast

import pytest

from kaito_operator.api.labels import ANNOTATION_APPLIED_HASH
from kaito_operator.kube.client import Kube
from kaito_operator.kube.errors import NotFound, Refused, Unavailable
from kaito_operator.kube.events import EventRecorder
from kaito_operator.kube.execute import Executor
from kaito_operator.reconcile.decision import Decision, EventDraft, PodRef, PodTouch
from kaito_operator.reconcile.drift import needs_apply
from kaito_operator.shell.stores import Stores
from tests.support.objects import NOW, Obj, a_pod, a_workspace

KEY = ("ns", "ws")
TOLD = {"phase": "Scheduling"}


class Server:
    """Objects by path; takes down every call; spells quantities as the API server does."""

    def __init__(self) -> None:
        self.objects: dict[str, Obj] = {}
        self.calls: list[tuple[str, str]] = []
        self.errors: dict[str, Exception] = {}
        self.version = 10

    def _call(self, verb: str, path: str) -> None:
        self.calls.append((verb, path.rsplit("/", 2)[-2] if verb != "list" else "events"))
        if error := self.errors.get(verb):
            raise error

    async def get(self, path: str, **query: Any) -> Obj:
        self._call("list" if "fieldSelector" in query else "get", path)
        if "fieldSelector" in query:
            items = [{"reason": f"R{n}", "lastTimestamp": f"2026-01-0{n}T00:00:00Z"} for n in (1, 3, 2)]
            return {"items": items}
        if path not in self.objects:
            raise NotFound(404, "no such object")
        return self.objects[path]

    async def apply(self, obj: Obj) -> Obj:
        self._call("apply", f"/{obj['kind']}/x")
        self.version += 1
        metadata = {**obj["metadata"], "uid": "child", "resourceVersion": str(self.version)}
        spec = {key: "1" if value == "1000m" else value for key, value in obj["spec"].items()}
        return {**obj, "metadata": metadata, "spec": spec}

    async def merge_status(self, path: str, version: str, status: Obj) -> Obj:
        self._call("status", path)
        assert version == "1"
        return {**a_workspace(), "status": status, "metadata": {**a_workspace()["metadata"]}}

    async def merge(self, path: str, patch: Obj) -> Obj:
        self._call("merge", path)
        return a_workspace()

    async def create(self, path: str, obj: Obj) -> Obj:
        self._call("create", f"{path}/x")
        return obj


class Bench:
    def __init__(self) -> None:
        self.server, self.stores = Server(), Stores()
        self.now = NOW
        self.stores.workspaces.put(a_workspace())
        kube = cast("Kube", self.server)  # it has the calls that are used here
        self.executor = Executor(kube, EventRecorder(kube), self.stores, lambda: self.now)

    async def execute(self, **decision: Any) -> bool:
        return await self.executor.execute(a_workspace(), Decision(**decision))


@pytest.fixture
def bench() -> Bench:
    return Bench()


def a_service(applied_hash: str = "h1", **spec: Any) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "namespace": "ns",
            "name": "ws",
            "annotations": {ANNOTATION_APPLIED_HASH: applied_hash},
            "ownerReferences": [{"uid": "ws-uid", "controller": True}],
        },
        "spec": spec,
    }


def refusals(bench: Bench) -> Obj:
    return dict(bench.stores.refusals.get(KEY, {}))


async def test_children_come_before_the_status_and_the_status_before_its_events(bench: Bench) -> None:
    event = EventDraft("Normal", "PodScheduling", "x")
    pod = PodRef("ns", "p", "uid-p")
    await bench.execute(finalizers=(), apply=(a_service(),), status=TOLD, events=(event,), look_at=(pod,))
    verbs = [verb for verb, _ in bench.server.calls]
    assert verbs == ["merge", "get", "apply", "status", "create", "list"]


async def test_no_event_is_posted_when_the_status_could_not_be_written(bench: Bench) -> None:
    bench.server.errors["status"] = Unavailable(0, "down")
    with pytest.raises(Unavailable):
        await bench.execute(status=TOLD, events=(EventDraft("Normal", "R", "x"),))
    assert "create" not in [verb for verb, _ in bench.server.calls]


async def test_an_event_that_cannot_be_posted_is_let_go(bench: Bench) -> None:
    bench.server.errors["create"] = Refused(403, "the namespace is being terminated")
    assert not await bench.execute(status=TOLD, events=(EventDraft("Normal", "R", "x"),))


async def test_an_accepted_child_is_known_at_once(bench: Bench) -> None:
    assert not await bench.execute(apply=(a_service(a=1),))
    assert (bench.stores.services.get(*KEY) or {})["spec"] == {"a": 1}


async def test_a_known_child_is_applied_without_asking_for_it_first(bench: Bench) -> None:
    bench.stores.remember(a_service())
    await bench.execute(apply=(a_service(),))
    assert [verb for verb, _ in bench.server.calls] == ["apply"]


async def test_an_unlabelled_object_of_somebody_else_is_not_overwritten(bench: Bench) -> None:
    theirs = {"metadata": {"name": "ws", "namespace": "ns"}}
    bench.server.objects["/api/v1/namespaces/ns/services/ws"] = theirs
    assert await bench.execute(apply=(a_service(),))
    assert "apply" not in [verb for verb, _ in bench.server.calls]
    assert refusals(bench)["Service"].foreign
    assert not await bench.execute(apply=(a_service(),)), "told already"


async def test_our_child_that_lost_its_label_is_applied(bench: Bench) -> None:
    bench.server.objects["/api/v1/namespaces/ns/services/ws"] = a_service()
    await bench.execute(apply=(a_service(),))
    assert [verb for verb, _ in bench.server.calls] == ["get", "apply"]


async def test_a_refusal_is_news_once_and_so_is_its_end(bench: Bench) -> None:
    bench.server.errors["apply"] = Refused(422, "spec.x: Invalid")
    assert await bench.execute(apply=(a_service(),), status=TOLD)
    told = [verb for verb, _ in bench.server.calls]
    assert "status" in told, "a refused child does not keep the status from being told"
    bench.now += timedelta(seconds=30)
    assert not await bench.execute(apply=(a_service(),))
    assert (refusals(bench)["Service"].message, refusals(bench)["Service"].at) == (
        "spec.x: Invalid",
        bench.now,
    )
    assert await bench.execute(apply=(a_service("h2"),)), "another object was refused"
    bench.server.errors.clear()
    assert await bench.execute(apply=(a_service(),))
    assert refusals(bench) == {}


async def test_a_refusal_of_a_deleted_workspace_is_not_kept(bench: Bench) -> None:
    bench.server.errors["apply"] = Refused(403, "the namespace is being terminated")
    bench.stores.workspaces.delete(a_workspace()["metadata"])
    assert not await bench.execute(apply=(a_service(),))
    assert bench.stores.refusals == {}


async def test_what_the_server_spells_in_another_way_is_not_applied_for_ever(bench: Bench) -> None:
    wanted = a_service(cpu="1000m")
    await bench.execute(apply=(wanted,))
    live, spelling = bench.stores.services.get(*KEY), bench.stores.spellings[KEY]["Service"]
    assert needs_apply(wanted, live)
    assert not needs_apply(wanted, live, spelling)
    await bench.execute(apply=(a_service("h2", cpu="1"),))
    assert bench.stores.spellings[KEY] == {}


async def test_the_events_of_a_pod_are_kept_the_newest_first(bench: Bench) -> None:
    pod = a_pod()
    bench.stores.pods.put(pod)
    uid = pod["metadata"]["uid"]
    assert await bench.execute(look_at=(PodRef("ns", pod["metadata"]["name"], uid),))
    assert [event.reason for event in bench.stores.pod_events[uid].events] == ["R3", "R2", "R1"]
    assert bench.stores.pod_events[uid].seen_at == NOW


async def test_a_workspace_that_went_before_its_finalizer_is_no_fault(bench: Bench) -> None:
    bench.server.errors["merge"] = NotFound(404, "gone")
    assert not await bench.execute(finalizers=())


TOUCH = PodTouch(PodRef("ns", "p", "uid-p"), "kaito.sh/adapters", "g")


async def test_a_pod_is_touched_after_its_list_is_applied_and_before_the_status(bench: Bench) -> None:
    await bench.execute(apply=(a_service(),), touch=(TOUCH,), status=TOLD)
    assert [call for call in bench.server.calls if call[0] != "get"] == [
        ("apply", "Service"),
        ("merge", "pods"),
        ("status", "workspaces"),
    ]


async def test_no_pod_is_touched_for_a_list_that_could_not_be_applied(bench: Bench) -> None:
    bench.server.errors["apply"] = Refused(403, "quota")
    await bench.execute(apply=(a_service(),), touch=(TOUCH,))
    assert "merge" not in [verb for verb, _ in bench.server.calls]


@pytest.mark.parametrize("error", [NotFound(404, "gone"), Refused(403, "no")])
async def test_a_pod_that_cannot_be_touched_is_let_go(bench: Bench, error: Exception) -> None:
    bench.server.errors["merge"] = error
    assert not await bench.execute(touch=(TOUCH,))
