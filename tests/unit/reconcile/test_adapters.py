"""Adapters of servers that run: what is asked, what is told, and which come into the pod."""

import json
from dataclasses import replace
from typing import Any

import pytest

from kaito_operator.manifests.adapters import generation_of
from kaito_operator.reconcile.decision import Decision
from kaito_operator.reconcile.observed import AdapterReport, ServerAdapter
from tests.support.objects import Obj, a_pod, a_workspace, running
from tests.support.world import World

POET = {"source": {"name": "poet", "image": "reg/poet:1"}, "strength": "0.5"}
CHEF = {"source": {"name": "chef", "image": "reg/chef:1"}}


def workspace(*adapters: Obj, **server: Any) -> Obj:
    inference: Obj = {"preset": {"name": "smollm2-135m-instruct"}, "adapters": list(adapters)}
    return a_workspace(inference=inference | ({"server": server} if server else {}))


def a_server(world: World, name: str = "ws-1") -> Obj:
    pod = a_pod(name, ready=True, template_hash=world.template_hash, containerStatuses=[running()])
    pod["status"]["podIP"] = "10.0.0.1"
    return pod


def served(*adapters: Obj) -> World:
    world = World(workspace(*adapters))
    world.step()
    world.pods = [a_server(world)]
    world.step()
    return world


def generation(world: World) -> str:
    return generation_of(world.children["ConfigMap/ws-adapters"]["data"]["adapters.json"])


def says(world: World, state: str = "Loaded", reason: str = "", message: str = "", **more: Any) -> None:
    """Let every server say this of every adapter of the present list."""
    listed = json.loads(world.children["ConfigMap/ws-adapters"]["data"]["adapters.json"])["adapters"]
    adapters = tuple(ServerAdapter(a["name"], a["image"], "sha256:1", state, reason, message) for a in listed)
    now = generation(world)
    for pod in world.pods:
        started = f"ws {pod['status']['containerStatuses'][0]['state']['running']['startedAt']}"
        fields = {"generation": now, "adapters": adapters, "tries": 0, **more}
        world.adapter_reports[pod["metadata"]["uid"]] = AdapterReport(world.now, now, started, **fields)


def adapters_told(world: World) -> dict[str, str]:
    return {a["name"]: a["state"] for a in world.status["adapters"]}


def change(world: World, *adapters: Obj) -> Decision:
    world.edit(lambda w: w["inference"].update(adapters=list(adapters)))
    return world.step()


def test_the_list_is_applied_before_the_workload_and_has_every_adapter_with_its_strength() -> None:
    world = World(workspace(POET, CHEF))
    first, second, *_ = world.step().apply
    assert (first["kind"], first["metadata"]["name"], second["kind"]) == (
        "ConfigMap",
        "ws-adapters",
        "Deployment",
    )
    assert json.loads(first["data"]["adapters.json"]) == {
        "adapters": [
            {"name": "poet", "image": "reg/poet:1", "strength": 0.5, "inPod": False},
            {"name": "chef", "image": "reg/chef:1", "strength": 1.0, "inPod": False},
        ],
        "combination": "cat",
    }


@pytest.mark.parametrize("strength", ["nan", "inf", "-1", "7", "much", ""])
def test_a_strength_that_only_v0_3_0_let_in_is_the_default(strength: str) -> None:
    world = World(workspace({**POET, "strength": strength}))
    world.step()
    (entry,) = json.loads(world.children["ConfigMap/ws-adapters"]["data"]["adapters.json"])["adapters"]
    assert entry["strength"] == 1.0


def test_a_change_of_adapters_writes_the_list_and_rolls_nothing() -> None:
    world = served(POET)
    says(world)
    world.step()
    decision = change(world, CHEF)
    assert [obj["kind"] for obj in decision.apply] == ["ConfigMap"]


def test_a_ready_server_is_asked_until_all_has_come_to_rest_and_then_no_more() -> None:
    world = served(POET)
    assert [a.ip for a in world.decide().ask] == ["10.0.0.1"]
    says(world, "Loading")
    decision = world.step()
    assert (decision.ask, decision.retry_after_s) == ((), 1.0)
    world.later(1)
    assert len(world.decide().ask) == 1
    says(world)
    world.step()
    world.later(3600)
    again = world.decide()
    assert (again.ask, again.status, again.retry_after_s) == ((), None, None)


@pytest.mark.parametrize(("tries", "wait"), [(0, 1), (1, 2), (2, 4), (3, 8), (4, 15), (400, 15)])
def test_the_same_answer_is_asked_for_less_and_less_often(tries: int, wait: float) -> None:
    world = served(POET)
    says(world, "Pulling", tries=tries)
    assert world.decide().retry_after_s == wait


def test_a_server_that_has_started_anew_is_asked_anew() -> None:
    world = served(POET)
    says(world)
    assert world.decide().ask == ()
    world.pods[0]["status"]["containerStatuses"] = [running(since=-1)]
    assert len(world.decide().ask) == 1


def test_a_workspace_without_adapters_asks_nobody() -> None:
    world = served()
    assert (world.decide().ask, world.status.get("adapters")) == ((), [])


def test_a_pod_is_touched_once_when_its_list_is_not_the_present_one() -> None:
    world = served(POET)
    says(world)
    assert change(world, CHEF).touch[0].value == generation(world)
    world.pods[0]["metadata"]["annotations"]["kaito.sh/adapters"] = generation(world)
    assert world.decide().touch == ()


def test_a_new_pod_has_the_present_list_and_is_not_touched() -> None:
    world = served(POET)
    assert world.decide().touch == ()
    says(world, generation="")
    assert world.decide().touch == ()


def test_the_model_is_ready_whatever_becomes_of_an_adapter() -> None:
    world = served(POET)
    for state in ("Pulling", "Loading", "Refused", "Failed", "NotMergeable", "Loaded"):
        says(world, state, message="said")
        world.step()
        assert adapters_told(world) == {"poet": state}
        assert (world.condition("InferenceReady")[0], world.status["phase"]) == ("True", "Ready")
        assert "blockedOn" not in world.status


TOLD = [
    ("Refused", "", "AdapterRefused", "Warning"),
    ("NotMergeable", "", "AdapterNotMergeable", "Warning"),
    ("Failed", "AdapterImageNotFound", "AdapterImageNotFound", "Warning"),
    ("Failed", "AdapterTooLarge", "AdapterTooLarge", "Warning"),
    ("Failed", "SomethingNew", "AdapterFailed", "Warning"),
    ("Denied", "", "AdapterNeedsRestart", "Normal"),
    ("NeedsRestart", "", "AdapterNeedsRestart", "Normal"),
]


@pytest.mark.parametrize(("state", "reason", "code", "kind"), TOLD)
def test_trouble_is_told_with_a_reason_a_cure_and_one_event(
    state: str, reason: str, code: str, kind: str
) -> None:
    world = served(POET)
    says(world, state, reason, "tensor x is 3 wide")
    events = world.step().events
    assert [(e.type, e.reason) for e in events if e.reason.startswith("Adapter")] == [(kind, code)]
    (entry,) = world.status["adapters"]
    assert entry["reason"] == code
    assert "<" not in entry["message"]
    assert "{" not in entry["message"]
    world.edit(lambda w: w.update(resource={"preferredNodes": ["n"]}))  # the status is written anew
    assert [e for e in world.step().events if e.reason == code] == []


def test_an_adapter_that_has_come_is_told_by_an_event_and_its_digest() -> None:
    world = served(POET)
    says(world)
    assert [e.reason for e in world.step().events] == ["AdapterLoaded"]
    (entry,) = world.status["adapters"]
    assert (entry["digest"], entry["strength"], entry["image"]) == ("sha256:1", "0.5", "reg/poet:1")
    assert "reason" not in entry


def test_a_hint_about_a_loaded_adapter_is_told_and_is_no_trouble() -> None:
    world = served(POET)
    says(world, message="trained on another base")
    world.step()
    (entry,) = world.status["adapters"]
    assert (entry["state"], entry["message"]) == ("Loaded", "trained on another base")


def test_of_several_servers_the_worst_is_told() -> None:
    world = served(POET)
    world.edit(lambda w: w.update(resource={"count": 2}))
    world.step()
    world.pods = [a_server(world), a_server(world, "ws-2")]
    says(world, "Refused", message="bad")
    kept = world.adapter_reports["uid-ws-2"]
    says(world)
    world.adapter_reports["uid-ws-2"] = kept
    world.step()
    assert adapters_told(world) == {"poet": "Refused"}


def test_what_was_told_stays_when_the_operator_forgets_it() -> None:
    world = served(POET)
    says(world)
    world.step()
    world.adapter_reports.clear()
    decision = world.decide()
    assert (decision.status, len(decision.ask)) == (None, 1)


def test_a_server_that_does_not_answer_is_told_as_unknown() -> None:
    world = served(POET)
    says(world, generation="", adapters=(), trouble="its server does not answer")
    world.step()
    (entry,) = world.status["adapters"]
    assert (entry["state"], entry["reason"]) == ("Unknown", "AdapterUnanswered")


@pytest.mark.parametrize("state", ["Denied", "NeedsRestart"])
def test_what_the_server_cannot_get_by_itself_comes_into_the_pod_and_stays(state: str) -> None:
    world = served(POET)
    says(world, state, message="401")
    kinds = [obj["kind"] for obj in world.step().apply]
    assert kinds == ["ConfigMap", "Deployment"]
    deployment = world.children["Deployment"]
    assert deployment["metadata"]["annotations"]["kaito.sh/adapters-in-pod"] == '["poet"]'
    spec = deployment["spec"]["template"]["spec"]
    assert "adapter-poet" in [v["name"] for v in spec["volumes"]]
    (entry,) = json.loads(world.children["ConfigMap/ws-adapters"]["data"]["adapters.json"])["adapters"]
    assert entry["inPod"] is True
    world.step()
    assert adapters_told(world) == {"poet": "NeedsRestart"}
    world.restart()
    world.adapter_reports.clear()
    assert world.decide().apply == ()


def test_an_adapter_in_the_pod_is_loaded_once_no_pod_without_it_answers() -> None:
    world = served(POET)
    old = world.pods[0]
    says(world, "Denied", message="401")
    world.step()
    new = a_server(world, "ws-2")
    world.pods = [old, new]
    says(world)
    world.step()
    assert adapters_told(world) == {"poet": "NeedsRestart"}
    old["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    world.step()
    assert adapters_told(world) == {"poet": "NeedsRestart"}
    world.pods = [new]
    world.step()
    assert adapters_told(world) == {"poet": "Loaded"}


@pytest.mark.parametrize(("tries", "in_pod"), [(0, False), (3, False), (4, True)])
def test_a_registry_that_only_the_node_reaches_brings_the_adapter_into_the_pod(
    tries: int, in_pod: bool
) -> None:
    world = served(POET)
    says(world, "Failed", "RegistryUnreachable", tries=tries)
    for report in world.adapter_reports.values():
        never = tuple(replace(a, digest="") for a in report.adapters)
        world.adapter_reports["uid-ws-1"] = replace(report, adapters=never)
    world.step()
    assert ("kaito.sh/adapters-in-pod" in world.children["Deployment"]["metadata"]["annotations"]) == in_pod


def test_a_copy_from_before_is_kept_when_the_registry_goes_away() -> None:
    world = served(POET)
    says(world, "Failed", "RegistryUnreachable", tries=400)
    decision = world.step()
    assert (decision.apply, decision.retry_after_s) == ((), 60)


def test_an_adapter_that_is_removed_leaves_the_pod() -> None:
    world = served(POET, CHEF)
    says(world, "Denied")
    world.step()
    change(world, CHEF)
    annotations = world.children["Deployment"]["metadata"]["annotations"]
    assert annotations["kaito.sh/adapters-in-pod"] == '["chef"]'


def test_a_pod_that_does_not_start_with_an_adapter_is_made_without_it() -> None:
    world = served(POET)
    says(world, "Denied", message="401 from the registry")
    world.step()
    stuck = a_pod("ws-2", template_hash=world.template_hash)
    waits = {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "reg/poet:1"'}}
    stuck["status"]["containerStatuses"] = [{"name": "ws", "image": "reg/img:1", "state": waits}]
    world.pods.append(stuck)
    world.step()
    deployment = world.children["Deployment"]
    assert "adapter-poet" not in [v["name"] for v in deployment["spec"]["template"]["spec"]["volumes"]]
    assert set(json.loads(deployment["metadata"]["annotations"]["kaito.sh/adapters-given-up"])) == {"poet"}
    world.pods = [a_server(world)]
    says(world, "Denied", message="401 from the registry", tries=9)
    decision = world.step()
    assert adapters_told(world) == {"poet": "Denied"}
    assert world.status["adapters"][0]["reason"] == "AdapterDenied"
    assert [o["kind"] for o in decision.apply] == []
    assert decision.retry_after_s == 60
    assert world.status["phase"] == "Ready"


def test_another_pull_secret_gives_an_adapter_its_chance_again() -> None:
    test_world = served(POET)
    says(test_world, "Denied")
    test_world.children["Deployment"]["metadata"]["annotations"]["kaito.sh/adapters-given-up"] = json.dumps(
        {"poet": "another hash"}
    )
    test_world.step()
    annotations = test_world.children["Deployment"]["metadata"]["annotations"]
    assert annotations["kaito.sh/adapters-in-pod"] == '["poet"]'


def test_an_adapter_called_like_the_live_folder_never_comes_into_the_pod() -> None:
    world = served({"source": {"name": "live", "image": "reg/live:1"}})
    says(world, "Denied")
    assert world.step().apply == ()


@pytest.mark.parametrize("written", ["", "{", "7", '{"a": 1}', "[[1]]", "null"])
def test_an_annotation_that_nobody_can_read_is_as_none(written: str) -> None:
    world = served(POET)
    annotations = world.children["Deployment"]["metadata"]["annotations"]
    annotations |= {"kaito.sh/adapters-in-pod": written, "kaito.sh/adapters-given-up": written}
    world.step()
    assert adapters_told(world) == {"poet": "Pending"}


def exposed(**server: Any) -> World:
    made = workspace(**server)
    made["metadata"]["annotations"] = {"kaito.sh/enablelb": "True"}
    return World(made)


def test_a_load_balancer_without_keys_warns_once() -> None:
    world = exposed()
    assert "LoadBalancerOpen" in [e.reason for e in world.step().events]
    assert "apiKeysSecret" in world.status["plan"]["warnings"][0]
    world.edit(lambda w: w.update(resource={"count": 2}))
    assert "LoadBalancerOpen" not in [e.reason for e in world.step().events]


def test_a_load_balancer_with_keys_does_not_warn() -> None:
    world = exposed(apiKeysSecret="keys")
    assert "LoadBalancerOpen" not in [e.reason for e in world.step().events]
    assert world.status["plan"]["warnings"] == []
