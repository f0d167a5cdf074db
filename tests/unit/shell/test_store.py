from typing import Any

import pytest

from kaito_operator.shell.store import Store, trim_node, trim_pod


def an_object(version: int = 1, *, uid: str = "u1", **more: Any) -> dict[str, Any]:
    metadata = {"namespace": "ns", "name": "a", "uid": uid, "resourceVersion": str(version)}
    return {"metadata": {**metadata, "managedFields": [{"manager": "m", "time": version}]}, **more}


def test_a_new_object_is_a_change() -> None:
    assert Store("x").put(an_object()) == (None, True)


def test_a_new_version_of_the_same_content_is_no_change() -> None:
    store = Store("x")
    store.put(an_object(1, spec={"a": 1}))
    assert store.put(an_object(2, spec={"a": 1}))[1] is False


def test_an_older_state_does_not_replace_a_newer_one() -> None:
    store = Store("x")
    store.put(an_object(9, spec={"a": "new"}))
    assert store.put(an_object(8, spec={"a": "old"}))[1] is False
    assert (store.get("ns", "a") or {})["spec"] == {"a": "new"}


def test_a_lower_version_of_another_object_of_the_same_name_does_replace() -> None:
    store = Store("x")
    store.put(an_object(9, uid="u1"))
    assert store.put(an_object(3, uid="u2"))[1] is True


def test_a_late_deletion_of_the_previous_object_leaves_the_present_one() -> None:
    store = Store("x")
    store.put(an_object(uid="new"))
    assert store.delete({"namespace": "ns", "name": "a", "uid": "old"}) is None
    assert len(store) == 1


def test_a_sweep_forgets_what_the_listing_lacks() -> None:
    store = Store("x")
    store.put(an_object(5))
    assert len(store.sweep(set(), "5")) == 1
    assert len(store) == 0


def test_a_sweep_keeps_what_the_listing_holds() -> None:
    store = Store("x")
    store.put(an_object(5, uid="u1"))
    assert store.sweep({"u1"}, "9") == []
    assert len(store) == 1


def test_a_sweep_keeps_what_is_newer_than_the_listing() -> None:
    store = Store("x")
    store.put(an_object(6))
    assert store.sweep(set(), "5") == []
    assert len(store) == 1


def test_an_answer_that_is_no_listing_sweeps_nothing() -> None:
    store = Store("x")
    store.put(an_object(6))
    assert store.sweep(set(), "") == []


def test_a_late_answer_does_not_bring_a_deleted_object_back() -> None:
    store = Store("x")
    store.put(an_object(5))
    store.delete(an_object(7)["metadata"])
    assert store.put(an_object(6)) == (None, False)
    assert len(store) == 0


def test_a_late_answer_does_not_bring_a_swept_object_back() -> None:
    store = Store("x")
    store.put(an_object(5))
    store.sweep(set(), "7")
    store.put(an_object(6))
    assert len(store) == 0


def test_an_object_that_lost_our_label_and_got_it_again_is_taken_in() -> None:
    store = Store("x")
    store.put(an_object(5))
    store.delete(an_object(7)["metadata"])
    assert store.put(an_object(8))[1] is True


def test_only_the_latest_deletions_are_remembered() -> None:
    store = Store("x")
    for number in range(3000):
        store.put(an_object(5, uid=f"u{number}"))
        store.delete(an_object(7, uid=f"u{number}")["metadata"])
    assert store.put(an_object(6, uid="u0"))[1] is True
    assert store.put(an_object(6, uid="u2999"))[1] is False


def test_an_object_without_a_version_is_never_swept() -> None:
    store = Store("x")
    store.put({"metadata": {"namespace": "ns", "name": "a", "uid": "u1"}})
    assert store.sweep(set(), "5") == []


def test_versions_are_compared_as_numbers() -> None:
    store = Store("x")
    store.put(an_object(9, spec={"a": "old"}))
    assert store.put(an_object(10, spec={"a": "new"}))[1] is True
    assert store.put(an_object(9, spec={"a": "old"}))[1] is False


NODE_CHANGES = [
    {"metadata": {"labels": {"a": "b"}}},
    {"spec": {"unschedulable": True}},
    {"spec": {"taints": [{"key": "k"}]}},
    {"status": {"allocatable": {"nvidia.com/gpu": "1"}}},
    {"status": {"conditions": [{"type": "Ready", "status": "False"}]}},
    {"status": {"nodeInfo": {"containerRuntimeVersion": "containerd://2.2.9"}}},
    {"metadata": {"deletionTimestamp": "t"}},
]


@pytest.mark.parametrize("change", NODE_CHANGES)
def test_what_placement_reads_of_a_node_is_a_change(change: dict[str, Any]) -> None:
    store = Store("nodes", trim_node)
    node = an_object(1)
    store.put(node)
    metadata = {**node["metadata"], **change.get("metadata", {})}
    assert store.put({**node, **change, "metadata": metadata})[1] is True


POD_CHANGES = [
    {"metadata": {"labels": {"a": "b"}}},
    {"metadata": {"annotations": {"a": "b"}}},
    {"metadata": {"ownerReferences": [{"uid": "x"}]}},
    {"metadata": {"deletionTimestamp": "t"}},
    {"spec": {"nodeName": "n"}},
    {"status": {"phase": "Failed"}},
]


@pytest.mark.parametrize("change", POD_CHANGES)
def test_what_the_diagnosis_reads_of_a_pod_is_a_change(change: dict[str, Any]) -> None:
    store = Store("pods", trim_pod)
    pod = an_object(1)
    store.put(pod)
    metadata = {**pod["metadata"], **change.get("metadata", {})}
    assert store.put({**pod, **change, "metadata": metadata})[1] is True


def test_a_kubelet_heartbeat_is_no_change_of_a_node() -> None:
    def node(beat: str) -> dict[str, Any]:
        ready = {"type": "Ready", "status": "True", "lastHeartbeatTime": beat, "lastTransitionTime": "t"}
        return an_object(status={"conditions": [ready], "images": [{"names": ["x"]}]})

    store = Store("nodes", trim_node)
    store.put(node("10:00"))
    assert store.put(node("10:05"))[1] is False


def test_a_pods_containers_are_not_kept_but_their_states_are() -> None:
    pod = an_object(
        spec={"nodeName": "n", "containers": [{"env": [{"name": "S", "value": "secret"}]}]},
        status={"phase": "Running"},
    )
    assert trim_pod(pod)["spec"] == {"nodeName": "n"}
    assert trim_pod(pod)["status"] == {"phase": "Running"}
