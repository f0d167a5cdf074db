from typing import Any

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
    store.put(an_object(), at=1.0)
    assert len(store.sweep(set(), before=5.0)) == 1
    assert len(store) == 0


def test_a_sweep_keeps_what_was_created_after_the_listing_began() -> None:
    store = Store("x")
    store.put(an_object(), at=6.0)
    assert store.sweep(set(), before=5.0) == []
    assert len(store) == 1


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
