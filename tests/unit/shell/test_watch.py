"""Which Workspaces a watch event wakes, and what it leaves in the stores."""

from typing import Any

import pytest

from kaito_operator.api import labels
from kaito_operator.api.labels import LABEL_WORKSPACE
from kaito_operator.api.machine import CLAIM_FINALIZER
from kaito_operator.reconcile.decision import PodRef
from kaito_operator.reconcile.observed import ClusterFacts, PodEvents, Refusal
from kaito_operator.shell.watch import Backoffs, watch_settings
from tests.support.objects import NOW, Obj, a_node, a_pod, a_workspace
from tests.unit.shell.conftest import Edge

WS = ("ns", "ws")
FACTS = ClusterFacts((1, 36))


def a_child(version: int = 1, owner: str | None = "ws", **more: Any) -> Obj:
    labels = {LABEL_WORKSPACE: owner} if owner else {}
    metadata = {"namespace": "ns", "name": "ws", "uid": "c", "resourceVersion": str(version)}
    return {"metadata": {**metadata, "labels": labels}, **more}


def newer(obj: Obj, version: int, **more: Any) -> Obj:
    return {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(version)}, **more}


def labelled(pod: Obj, owner: str, version: int) -> Obj:
    return {
        **pod,
        "metadata": {
            **pod["metadata"],
            "labels": {LABEL_WORKSPACE: owner},
            "resourceVersion": str(version),
        },
    }


async def test_a_new_workspace_is_looked_at(edge: Edge) -> None:
    edge.sees("workspaces", a_workspace(), "ADDED")
    assert await edge.woken() == [WS]


@pytest.mark.parametrize("plural", ["deployments", "services", "pods"])
@pytest.mark.parametrize("event", ["ADDED", "MODIFIED", "DELETED"])
async def test_what_happens_to_a_child_wakes_its_workspace(edge: Edge, plural: str, event: str) -> None:
    if event != "ADDED":
        edge.sees(plural, a_child(1, spec={}, status={}), "ADDED")
        await edge.woken()
    edge.sees(plural, a_child(2, spec={}, status={"phase": "x"}), event)
    assert await edge.woken() == [WS]


async def test_a_change_that_does_not_matter_wakes_nobody(edge: Edge) -> None:
    edge.sees("deployments", a_child(1), "ADDED")
    await edge.woken()
    edge.sees("deployments", a_child(2))
    assert await edge.woken() == []


async def test_the_echo_of_our_own_write_wakes_nobody(edge: Edge) -> None:
    answer = {**a_child(5, spec={"a": 1}), "kind": "Deployment"}
    edge.stores.remember(answer)
    edge.sees("deployments", answer, "ADDED")
    assert await edge.woken() == []


async def test_a_child_that_changes_hands_wakes_both_workspaces(edge: Edge) -> None:
    edge.sees("services", a_child(1, "one"), "ADDED")
    await edge.woken()
    edge.sees("services", a_child(2, "two"))
    assert sorted(await edge.woken()) == [("ns", "one"), ("ns", "two")]


async def test_a_pod_that_changes_hands_is_seen_by_its_new_workspace_only(edge: Edge) -> None:
    edge.sees("pods", labelled(a_pod(), "one", 1), "ADDED")
    edge.sees("pods", labelled(a_pod(), "two", 2))
    assert edge.stores.observe(("ns", "one"), FACTS).pods == ()
    assert len(edge.stores.observe(("ns", "two"), FACTS).pods) == 1


async def test_a_workspace_sees_no_pods_of_another_namespace(edge: Edge) -> None:
    pod = a_pod()
    pod["metadata"]["namespace"] = "elsewhere"
    edge.sees("pods", pod, "ADDED")
    assert edge.stores.observe(WS, FACTS).pods == ()


async def test_a_deleted_pod_leaves_nothing_behind(edge: Edge) -> None:
    pod = a_pod()
    edge.sees("pods", pod, "ADDED")
    reference = PodRef("ns", pod["metadata"]["name"], pod["metadata"]["uid"])
    edge.stores.remember_pod_events(reference, PodEvents(NOW, ()))
    edge.sees("pods", pod, "DELETED")
    assert edge.stores.observe(WS, FACTS).pods == ()
    assert edge.stores.pod_events == {}
    edge.stores.remember_pod_events(reference, PodEvents(NOW, ()))
    assert edge.stores.pod_events == {}, "Events that were listed while the pod went"


async def test_a_pod_of_the_same_name_starts_without_the_events_of_the_last(edge: Edge) -> None:
    first, second = a_pod(), a_pod()
    second["metadata"]["uid"] = "another"
    edge.sees("pods", first, "ADDED")
    uid = first["metadata"]["uid"]
    edge.stores.remember_pod_events(PodRef("ns", first["metadata"]["name"], uid), PodEvents(NOW, ()))
    edge.sees("pods", second, "ADDED")
    assert edge.stores.pod_events == {}
    assert [p["metadata"]["uid"] for p in edge.stores.observe(WS, FACTS).pods] == ["another"]


async def test_a_late_deletion_of_the_previous_pod_keeps_the_present_one(edge: Edge) -> None:
    first, second = a_pod(), a_pod()
    second["metadata"]["uid"] = "another"
    edge.sees("pods", second, "ADDED")
    await edge.woken()
    edge.sees("pods", first, "DELETED")
    assert len(edge.stores.observe(WS, FACTS).pods) == 1
    assert await edge.woken() == []


NODE_CASES = [("a pod runs on it", "node-1"), ("a pod waits for a node", None)]


@pytest.mark.parametrize("node", [row[1] for row in NODE_CASES], ids=[row[0] for row in NODE_CASES])
@pytest.mark.parametrize("event", ["ADDED", "MODIFIED", "DELETED"])
async def test_what_happens_to_a_node_wakes_a_workspace_when(
    edge: Edge, node: str | None, event: str
) -> None:
    edge.sees("pods", a_pod(node=node), "ADDED")
    if event != "ADDED":
        edge.sees("nodes", a_node(), "ADDED")
    await edge.woken()
    edge.sees("nodes", a_node(labels={"new": "label"}), event)
    assert await edge.woken() == [WS]


async def test_a_node_wakes_nobody_whose_pods_run_elsewhere(edge: Edge) -> None:
    edge.sees("pods", a_pod(node="node-2"), "ADDED")
    await edge.woken()
    edge.sees("nodes", a_node("node-1"), "ADDED")
    assert await edge.woken() == []


async def test_changes_overtake_what_is_merely_listed(edge: Edge) -> None:
    for name in ("a", "b"):
        edge.sees("workspaces", a_workspace(name), None)
    edge.sees("workspaces", a_workspace("changed"), "ADDED")
    assert await edge.woken() == [("ns", "changed"), ("ns", "a"), ("ns", "b")]


async def test_the_first_event_says_that_the_picture_is_complete(edge: Edge) -> None:
    edge.watch.take(edge.kind("nodes"), a_node())
    assert not edge.synced.is_set()
    edge.watch.announce(edge.kind("nodes"), None, a_node())
    assert edge.synced.is_set()


async def test_the_first_listing_asks_for_no_sweep_and_the_second_does(edge: Edge) -> None:
    edge.sees("nodes", a_node(), None)
    assert edge.relisted == []
    edge.sees("nodes", a_node(), None)
    assert edge.relisted == ["nodes"]


async def test_a_second_listing_of_the_same_wakes_nobody(edge: Edge) -> None:
    edge.sees("workspaces", a_workspace(), None)
    await edge.woken()
    edge.sees("workspaces", a_workspace(), None)
    assert await edge.woken() == []


async def test_a_deleted_workspace_takes_what_was_remembered_of_it_along(edge: Edge) -> None:
    edge.sees("workspaces", a_workspace(), "ADDED")
    edge.stores.remember_spelling(WS, "Deployment", {**a_child(), "kind": "Deployment"})
    edge.stores.remember_refusal(WS, "Service", Refusal("Service", "ws", "no", "h", NOW))
    edge.sees("workspaces", a_workspace(), "DELETED")
    edge.stores.remember_spelling(WS, "Deployment", {**a_child(), "kind": "Deployment"})
    assert (edge.stores.spellings, edge.stores.refusals) == ({}, {})
    assert edge.stores.workspaces.get(*WS) is None


async def test_a_change_is_held_no_longer_than_its_event(edge: Edge) -> None:
    edge.sees("workspaces", a_workspace(), "ADDED")
    edge.sees("workspaces", a_workspace(), "DELETED")
    assert edge.kind("workspaces").changes == {}


async def test_the_status_that_an_apply_brings_along_is_news_once(edge: Edge) -> None:
    def deployment(version: int, **status: Any) -> Obj:
        return {**a_child(version, spec={}, status=status), "kind": "Deployment"}

    assert not edge.stores.remember(deployment(1))
    assert edge.stores.remember(deployment(3, replicas=1)), "its own event, of version 2, will be no news"
    assert not edge.stores.remember(deployment(4, replicas=1))
    assert not edge.stores.remember(deployment(2, replicas=0)), "older than what is known"


async def test_only_handlers_that_never_write_are_registered(edge: Edge) -> None:
    registry = edge.watch.registry()
    assert registry._changing.get_all_handlers() == []
    assert registry._spawning.get_all_handlers() == []
    assert len(registry._watching.get_all_handlers()) == len(edge.watch.kinds)


async def test_kopf_has_no_finalizer_of_ours_to_take_away(edge: Edge) -> None:
    # It takes its own off every object that none of its handlers has to see die.
    kopfs = watch_settings(edge.watch.kinds).persistence.finalizer
    assert kopfs not in (labels.FINALIZER, CLAIM_FINALIZER)


async def test_only_labelled_children_are_asked_for(edge: Edge) -> None:
    selectors = watch_settings(edge.watch.kinds).watching.label_selectors
    asked = {kind.plural: selectors.get(kind.selector_key) for kind in edge.watch.kinds}
    assert asked == {
        "workspaces": None,
        "nodes": None,
        **dict.fromkeys(
            ("deployments", "statefulsets", "services", "configmaps", "pods", "machines", "nodeclaims"),
            LABEL_WORKSPACE,
        ),
    }


def test_a_watch_is_tried_again_for_ever_and_after_five_seconds_at_most() -> None:
    backoffs = Backoffs()
    first = [pause for pause, _ in zip(backoffs, range(500), strict=False)]
    again = [pause for pause, _ in zip(backoffs, range(500), strict=False)]
    assert first == again
    assert len(first) == 500
    assert max(first) == 5.0
