import copy
from typing import Any

import pytest

from kaito_operator.reconcile.observed import Refusal
from tests.support.objects import NOW, Obj, a_node, a_pod, a_workspace, running
from tests.support.world import World


def smollm2(**more: Any) -> World:
    return World(a_workspace(**more))


def served(world: World) -> World:
    """Let the world's Workspace become ready."""
    world.step()
    world.pods = [a_pod(ready=True, template_hash=world.template_hash)]
    world.step()
    return world


def test_the_first_decision_makes_the_workload_and_the_service() -> None:
    world = smollm2()
    assert [obj["kind"] for obj in world.step().apply] == ["ConfigMap", "Deployment", "Service"]


def test_the_first_decision_says_what_it_waits_for() -> None:
    world = smollm2()
    world.step()
    assert world.status["phase"] == "Scheduling"
    assert world.status["blockedOn"]["reason"] == "PodScheduling"


def test_deciding_again_changes_nothing() -> None:
    world = smollm2()
    world.step()
    again = world.decide()
    assert (again.apply, again.status, again.events) == ((), None, ())


def test_a_ready_pod_makes_all_three_conditions_true() -> None:
    world = served(smollm2())
    kinds = ("ResourceReady", "InferenceReady", "WorkspaceReady")
    assert [world.condition(kind)[0] for kind in kinds] == ["True", "True", "True"]
    assert "blockedOn" not in world.status


def test_the_conditions_of_a_ready_workspace_carry_the_reasons_of_v0_3_0() -> None:
    world = served(smollm2())
    assert world.condition("ResourceReady")[1] == "workspaceResourceStatusSuccess"
    assert world.condition("InferenceReady")[1] == "WorkspaceInferenceStatusSuccess"
    assert world.condition("WorkspaceReady")[1] == "workspaceReady"


def test_worker_nodes_are_the_nodes_of_the_pods() -> None:
    assert served(smollm2()).status["workerNodes"] == ["node-1"]


def test_since_stays_while_the_reason_stays() -> None:
    world = smollm2()
    world.step()
    since = world.status["blockedOn"]["since"]
    world.later(30)
    world.edit(lambda w: w.update(resource={"count": 2}))
    world.step()
    assert world.status["blockedOn"]["since"] == since


def test_time_alone_writes_nothing() -> None:
    world = served(smollm2())
    world.later(3600)
    assert world.decide().status is None


def test_the_timeline_tells_each_phase_with_its_expected_time() -> None:
    world = smollm2()
    world.step()
    world.later(2)
    world.pods = [a_pod(template_hash=world.template_hash, containerStatuses=[running(since=1)])]
    world.step()
    world.later(7)
    world.pods = [a_pod(ready=True, template_hash=world.template_hash)]
    world.step()
    phases = [(entry["phase"], "endedAt" in entry) for entry in world.status["timeline"]]
    assert phases == [("Scheduling", True), ("Loading", True), ("Ready", False)]
    assert world.status["timeline"][1]["expectedSeconds"] > 0


def test_an_event_is_posted_when_the_phase_changes_and_not_otherwise() -> None:
    world = smollm2()
    assert [event.reason for event in world.step().events] == ["PodScheduling"]
    assert world.step().events == ()
    world.pods = [a_pod(ready=True, template_hash=world.template_hash)]
    assert [(e.type, e.reason) for e in world.step().events] == [("Normal", "WorkspaceReady")]


def test_a_blocked_workspace_warns_with_the_next_action() -> None:
    world = smollm2(inference={"preset": {"name": "smollm2-135m-instrct"}})
    (event,) = world.step().events
    assert (event.type, event.reason) == ("Warning", "PresetUnknown")
    assert "smollm2-135m-instruct" in event.message


def test_a_child_edited_by_hand_is_put_back() -> None:
    world = served(smollm2())
    world.children["Deployment"]["spec"]["replicas"] = 0
    assert [obj["kind"] for obj in world.decide().apply] == ["Deployment"]


def test_a_deleted_service_is_put_back() -> None:
    world = served(smollm2())
    del world.children["Service"]
    assert [obj["kind"] for obj in world.decide().apply] == ["Service"]


def test_the_load_balancer_annotation_works_both_ways() -> None:
    world = served(smollm2())
    world.edit(lambda w: w["metadata"].update(annotations={"kaito.sh/enablelb": "True"}))
    world.step()
    assert world.children["Service"]["spec"]["type"] == "LoadBalancer"
    world.edit(lambda w: w["metadata"].update(annotations={}))
    world.step()
    assert world.children["Service"]["spec"]["type"] == "ClusterIP"


def test_an_object_of_another_owner_is_not_overwritten() -> None:
    world = smollm2()
    world.step()
    foreign = copy.deepcopy(world.children["Service"])
    foreign["metadata"]["ownerReferences"] = []
    foreign["metadata"]["annotations"] = {}
    world.children["Service"] = foreign
    decision = world.step()
    assert "Service" not in [obj["kind"] for obj in decision.apply]
    assert world.status["blockedOn"]["reason"] == "NameConflict"


def test_a_child_that_lost_its_owner_is_taken_back() -> None:
    world = served(smollm2())
    world.children["Service"]["metadata"]["ownerReferences"] = []
    assert [obj["kind"] for obj in world.decide().apply] == ["Service"]


def test_the_child_of_an_earlier_workspace_is_waited_out() -> None:
    world = smollm2()
    world.step()
    world.workspace = a_workspace(uid="another-uid")
    decision = world.step()
    assert decision.apply == ()
    assert world.status["blockedOn"]["reason"] == "PreviousRemoved"


def refused(world: World, *, foreign: bool = False) -> None:
    (_, deployment, _) = world.decide().apply
    applied_hash = deployment["metadata"]["annotations"]["kaito.sh/applied-hash"]
    refusal = Refusal("Deployment", "ws", "spec.x: Invalid value", applied_hash, world.now, foreign)
    world.refusals = {"Deployment": refusal}


def test_a_refused_write_is_told_and_not_repeated_at_once() -> None:
    world = smollm2()
    refused(world)
    decision = world.step()
    assert [obj["kind"] for obj in decision.apply] == ["ConfigMap", "Service"]
    assert world.status["blockedOn"]["reason"] == "WriteRefused"
    assert "spec.x: Invalid value" in world.status["blockedOn"]["message"]
    assert decision.retry_after_s is not None


def test_a_refused_write_is_tried_again_after_a_while_without_a_status_write() -> None:
    world = smollm2()
    refused(world)
    world.step()
    world.later(31)
    decision = world.decide()
    assert [obj["kind"] for obj in decision.apply] == ["Deployment"]
    assert decision.status is None
    assert decision.retry_after_s == 30


def test_an_unlabelled_object_of_somebody_else_is_named_as_such() -> None:
    world = smollm2()
    refused(world, foreign=True)
    world.step()
    assert world.status["blockedOn"]["reason"] == "NameConflict"


def test_another_object_is_applied_although_the_last_one_was_refused() -> None:
    world = smollm2()
    refused(world)
    world.step()
    world.edit(lambda w: w.update(resource={"count": 2}))
    assert [obj["kind"] for obj in world.decide().apply] == ["Deployment"]


def test_a_workspace_that_is_deleted_loses_only_our_finalizer() -> None:
    metadata = {"deletionTimestamp": "x", "finalizers": ["other", "workspace.finalizer.kaito.sh"]}
    assert smollm2(metadata=metadata).decide().finalizers == ("other",)


def test_a_workspace_that_is_deleted_and_has_no_finalizer_of_ours_is_left_alone() -> None:
    decision = smollm2(metadata={"deletionTimestamp": "x", "finalizers": ["other"]}).decide()
    assert (decision.apply, decision.status, decision.finalizers) == ((), None, None)


WAYS = [
    ((1, 36), ["containerd://2.2.9"], "image"),
    ((1, 35), ["containerd://2.1.0"], "image"),
    ((1, 34), ["containerd://2.2.9"], "imageCopy"),
    ((1, 36), ["containerd://1.7.28"], "imageCopy"),
    ((1, 36), ["containerd://2.2.9", "containerd://1.7.28"], "imageCopy"),
    ((1, 36), ["cri-o://1.36.0"], "imageCopy"),
    ((1, 36), [], "imageCopy"),
]


@pytest.mark.parametrize(("version", "runtimes", "way"), WAYS)
def test_images_are_mounted_only_where_cluster_and_nodes_can(
    version: tuple[int, int], runtimes: list[str], way: str
) -> None:
    world = smollm2()
    world.version = version
    world.nodes = [a_node(f"n{i}", runtime=runtime) for i, runtime in enumerate(runtimes)]
    world.step()
    assert world.status["plan"]["weightsFrom"] == way


def test_a_new_node_does_not_change_the_way_and_roll_the_pods() -> None:
    world = served(smollm2())
    world.nodes.append(a_node("old-node", runtime="containerd://1.7.28"))
    decision = world.decide()
    assert decision.apply == ()
    assert world.status["plan"]["weightsFrom"] == "image"


def test_a_workspace_that_cannot_be_read_says_why() -> None:
    world = World(a_workspace(inference={"preset": {"name": 7}}, resource={"count": "many"}))
    world.step()
    assert world.status["blockedOn"]["reason"] == "InvalidSpec"
    assert "resource.count" in world.status["blockedOn"]["message"]


def test_a_tuning_workspace_is_told_that_this_version_does_not_tune() -> None:
    world = World(a_workspace(tuning={"preset": {"name": "phi-2"}, "method": "lora"}))
    world.step()
    assert world.status["blockedOn"]["reason"] == "TuningUnsupported"


def test_a_template_gets_labels_and_nodes_and_keeps_its_own() -> None:
    spec = {"containers": [{"name": "c", "image": "i:1"}], "nodeSelector": {"a": "b"}}
    template = {"metadata": {"labels": {"own": "1"}}, "spec": spec}
    world = World(
        a_workspace(
            inference={"template": template},
            resource={"labelSelector": {"matchLabels": {"apps": "x"}}},
        )
    )
    world.step()
    pod = world.children["Deployment"]["spec"]["template"]
    assert pod["metadata"]["labels"] == {"own": "1", "kaito.sh/workspace": "ws"}
    assert pod["spec"]["nodeSelector"] == {"a": "b"}
    affinity = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert affinity["nodeSelectorTerms"][0]["matchExpressions"][0]["key"] == "apps"


@pytest.mark.parametrize(("options", "surge"), [({}, 1), ({"volumeClaim": "models"}, 0)])
def test_a_cpu_workload_surges_unless_it_holds_a_volume_claim(options: Obj, surge: int) -> None:
    preset = {"name": "smollm2-135m-instruct", "presetOptions": options}
    world = World(a_workspace(inference={"preset": preset}))
    world.step()
    assert world.children["Deployment"]["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == surge


def test_a_node_without_an_instance_type_fits_any() -> None:
    world = World(a_workspace(inference={"preset": {"name": "phi-2"}}, resource={"instanceType": "T"}))
    world.step()
    assert world.status["instanceType"] == "T"
    pod = world.children["Deployment"]["spec"]["template"]["spec"]
    terms = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    operators = [term["matchExpressions"][-1]["operator"] for term in terms["nodeSelectorTerms"]]
    assert operators == ["In", "DoesNotExist"]


def test_now_is_the_only_clock() -> None:
    first, second = smollm2(), smollm2()
    first.step()
    second.step()
    assert first.workspace == second.workspace
    assert first.now == NOW
