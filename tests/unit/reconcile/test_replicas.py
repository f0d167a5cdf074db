"""What several pods together mean: rollouts, replicas that are missing, pods that end or leave."""

from typing import Any

import pytest

from kaito_operator.reconcile.observed import PodEvent, PodEvents
from tests.support.objects import (
    Obj,
    a_container,
    a_node,
    a_pod,
    a_workspace,
    at,
    ended,
    running,
    unschedulable,
    waiting,
)
from tests.support.world import World


def smollm2(**more: Any) -> World:
    return World(a_workspace(**more))


def served(world: World) -> World:
    """Let the world's Workspace become ready."""
    world.step()
    world.pods = [a_pod(ready=True, template_hash=world.template_hash)]
    world.step()
    return world


def test_a_crash_turns_inference_ready_false_and_names_the_exit() -> None:
    world = served(smollm2())
    crashed = waiting("CrashLoopBackOff", lastState={"terminated": {"exitCode": 1, "message": "boom"}})
    world.pods = [a_pod(template_hash=world.template_hash, containerStatuses=[crashed])]
    world.step()
    assert world.condition("InferenceReady") == ("False", "ServerCrashed")
    assert "boom" in world.status["blockedOn"]["message"]


def test_a_lost_node_turns_a_ready_workspace_not_ready() -> None:
    world = served(smollm2())
    world.nodes = [a_node(ready=False)]
    world.step()
    assert world.condition("WorkspaceReady") == ("False", "NodeNotReady")


def test_scaling_changes_the_replicas_and_not_the_pods() -> None:
    world = served(smollm2())
    before = world.template_hash
    world.edit(lambda w: w.update(resource={"count": 3}))
    world.step()
    assert world.children["Deployment"]["spec"]["replicas"] == 3
    assert world.template_hash == before


def test_a_rollout_is_told_while_old_pods_still_run() -> None:
    world = served(smollm2())
    old = a_pod("old", ready=True, template_hash="old")
    world.pods = [old]
    world.step()
    assert world.status["phase"] == "Updating"
    assert world.condition("InferenceReady") == ("False", "RollingOut")


def test_gpu_workloads_never_surge() -> None:
    world = World(a_workspace(inference={"preset": {"name": "phi-2"}}))
    world.step()
    strategy: Obj = world.children["Deployment"]["spec"]["strategy"]
    assert strategy["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}


def test_a_stuck_pod_is_looked_at_once_and_then_later() -> None:
    world = smollm2()
    world.step()
    stuck = a_pod(template_hash=world.template_hash, containerStatuses=[waiting("ContainerCreating")])
    world.pods = [stuck]
    assert [pod.name for pod in world.step().look_at] == ["ws-1"]
    world.pod_events = {stuck["metadata"]["uid"]: PodEvents(world.now, ())}
    again = world.step()
    assert again.look_at == ()
    assert again.retry_after_s == pytest.approx(30, abs=1)


def test_what_the_events_say_is_told() -> None:
    world = smollm2()
    world.step()
    stuck = a_pod(template_hash=world.template_hash, containerStatuses=[waiting("ContainerCreating")])
    world.pods = [stuck]
    failed = PodEvent("FailedMount", 'persistentvolumeclaim "w" not found')
    world.pod_events = {stuck["metadata"]["uid"]: PodEvents(world.now, (failed,))}
    world.step()
    assert world.status["blockedOn"]["reason"] == "VolumeClaimMissing"


def of(world: World, name: str, **more: Any) -> Obj:
    """A pod of the world's present template."""
    return a_pod(name, template_hash=world.template_hash, **more)


def without_room(world: World, what: str = "nvidia.com/gpu") -> Obj:
    pod = unschedulable(f"0/1 nodes are available: 1 Insufficient {what}.")
    pod["metadata"]["annotations"]["kaito.sh/template-hash"] = world.template_hash
    return pod


def leaving(pod: Obj) -> Obj:
    return {**pod, "metadata": {**pod["metadata"], "deletionTimestamp": at(60)}}


def reason(world: World) -> str:
    world.step()
    return str(world.status.get("blockedOn", {}).get("reason", ""))


def started(count: int = 1) -> World:
    world = smollm2(inference={"preset": {"name": "smollm2-135m-instruct"}}, resource={"count": count})
    world.step()
    return world


def test_a_new_pod_that_waits_for_the_room_of_the_old_one_is_a_rollout() -> None:
    world = started()
    world.pods = [without_room(world), leaving(a_pod("old", ready=True, template_hash="old"))]
    assert reason(world) == "RollingOut"
    world.pods = world.pods[:1]
    assert reason(world) == "InsufficientGpu"


def test_a_pod_that_leaves_a_lost_node_makes_no_room() -> None:
    world = started()
    world.nodes = [a_node(), a_node("lost", ready=False)]
    world.pods = [without_room(world), leaving(a_pod("old", node="lost", template_hash="old"))]
    assert reason(world) == "InsufficientGpu"


def test_other_trouble_is_told_although_an_old_pod_is_leaving() -> None:
    world = started()
    crashed = a_container(state=ended(1, message="boom"))
    world.pods = [
        of(world, "new", containerStatuses=[crashed]),
        leaving(a_pod("old", template_hash="old")),
    ]
    assert reason(world) == "ServerCrashed"


def test_a_ready_pod_that_is_leaving_does_not_count() -> None:
    world = started()
    world.pods = [leaving(of(world, "a", ready=True))]
    assert reason(world) == "PodScheduling"
    assert world.condition("ResourceReady")[0] == "False"


def test_all_replicas_have_to_answer() -> None:
    world = started(2)
    world.pods = [of(world, "a", ready=True), of(world, "b", containerStatuses=[running()])]
    assert reason(world) == "RollingOut"
    assert world.condition("ResourceReady")[0] == "True"
    world.pods = [of(world, "a", ready=True), of(world, "b", ready=True)]
    assert reason(world) == ""


def test_the_cause_of_one_replica_is_told_although_another_answers() -> None:
    world = started(2)
    world.pods = [
        of(world, "a", ready=True),
        of(world, "b", containerStatuses=[a_container(state=ended(1))]),
    ]
    assert reason(world) == "ServerCrashed"


def test_an_evicted_pod_has_no_node_any_more() -> None:
    world = started()
    world.pods = [of(world, "evicted", phase="Failed"), without_room(world, "memory")]
    assert reason(world) == "InsufficientMemory"
    assert world.condition("ResourceReady")[0] == "False"
    assert world.status["workerNodes"] == []


def test_an_evicted_pod_says_nothing_once_another_answers() -> None:
    world = started()
    world.pods = [of(world, "evicted", phase="Failed"), of(world, "b", ready=True)]
    assert reason(world) == ""


def test_an_evicted_pod_is_told_until_another_takes_its_place() -> None:
    world = started()
    world.pods = [of(world, "evicted", phase="Failed", message="low on memory")]
    assert reason(world) == "PodFailed"


def test_an_evicted_pod_of_an_earlier_template_is_no_rollout() -> None:
    world = started()
    world.pods = [a_pod("old", template_hash="old", phase="Failed"), of(world, "b", ready=True)]
    assert reason(world) == ""


def test_a_pod_that_a_person_gave_our_label_keeps_nothing_waiting() -> None:
    world = started()
    stranger = a_pod("stranger", ready=True, template_hash="")
    del stranger["metadata"]["ownerReferences"]
    world.pods = [of(world, "a", ready=True), stranger]
    assert reason(world) == ""
    world.pods = [stranger]
    assert reason(world) == "PodScheduling"


def forbids_pods(world: World, said: str = "exceeded quota: q", **status: Any) -> None:
    failure = {"type": "ReplicaFailure", "status": "True", "message": said}
    world.children["Deployment"]["status"] = {"conditions": [failure], **status}


@pytest.mark.parametrize("pods", [0, 1])
def test_a_quota_that_is_used_up_is_told_when_replicas_are_missing(pods: int) -> None:
    world = started(2)
    forbids_pods(world)
    world.pods = [of(world, "a", ready=True)][:pods]
    assert reason(world) == "QuotaExceeded"


def test_a_used_up_quota_is_told_before_an_evicted_pod() -> None:
    world = started()
    forbids_pods(world)
    world.pods = [of(world, "evicted", phase="Failed")]
    assert reason(world) == "QuotaExceeded"


def test_what_a_pod_says_is_told_before_what_the_deployment_says() -> None:
    world = started(2)
    forbids_pods(world)
    world.pods = [of(world, "a", containerStatuses=[a_container(state=ended(1))])]
    assert reason(world) == "ServerCrashed"


def test_what_the_deployment_said_of_an_earlier_version_is_not_told() -> None:
    world = started()
    forbids_pods(world, observedGeneration=1)
    world.children["Deployment"]["metadata"]["generation"] = 2
    assert reason(world) == "PodScheduling"


def test_a_quota_that_once_was_used_up_does_not_matter_when_all_pods_are_there() -> None:
    world = started()
    forbids_pods(world)
    world.pods = [of(world, "a", containerStatuses=[running()])]
    assert reason(world) == "ModelLoading"


def test_the_moment_at_which_loading_is_overdue_is_waited_for_once() -> None:
    world = started()
    world.pods = [of(world, "a", containerStatuses=[running(since=0)], ready_at=at(-9))]
    left = world.decide().retry_after_s
    assert left is not None
    world.later(left - 1)
    assert reason(world) == "ModelLoading"
    assert world.decide().retry_after_s == pytest.approx(1)
    world.later(1)
    assert reason(world) == "Overdue"
    assert world.decide().retry_after_s is None


def test_a_silent_server_is_not_looked_at_without_end() -> None:
    world = started()
    world.pods = [of(world, "a", containerStatuses=[running(since=-100_000)], ready_at=at(-5))]
    assert reason(world) == "ServerUnhealthy"
    assert world.decide().retry_after_s is None


def test_an_empty_cluster_is_told_with_what_a_node_would_need() -> None:
    world = started()
    world.nodes = []
    world.pods = [without_room(world)]
    assert reason(world) == "NoMatchingNode"
    assert "matches kubernetes.io/os=linux." in world.status["blockedOn"]["message"]


def test_an_old_pod_that_still_runs_beside_all_new_ones_is_a_rollout() -> None:
    world = started()
    world.pods = [of(world, "new", ready=True), a_pod("old", ready=True, template_hash="old")]
    assert reason(world) == "RollingOut"


def test_of_several_causes_the_earlier_layer_is_told() -> None:
    world = started(2)
    world.pods = [of(world, "a", containerStatuses=[a_container(state=ended(1))]), without_room(world)]
    assert reason(world) == "InsufficientGpu"


def test_a_pod_on_a_lost_node_has_no_resources() -> None:
    world = started()
    world.nodes = [a_node(ready=False)]
    world.pods = [of(world, "a", ready=True)]
    assert reason(world) == "NodeNotReady"
    assert world.condition("ResourceReady")[0] == "False"
