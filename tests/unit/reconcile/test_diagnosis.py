from typing import Any

import pytest

from kaito_operator.reconcile.diagnosis import (
    Expectations,
    Surroundings,
    diagnose_pod,
    overdue_in_s,
)
from kaito_operator.reconcile.observed import PodEvent, PodEvents
from kaito_operator.reconcile.workload import diagnose_workload
from tests.support.objects import (
    NOW,
    a_container,
    a_node,
    a_pod,
    at,
    ended,
    running,
    unschedulable,
    waiting,
)

Obj = dict[str, Any]


def around(*nodes: Obj, candidates: tuple[Obj, ...] | None = None, **more: Any) -> Surroundings:
    every = nodes or (a_node(),)
    return Surroundings(
        namespace="ns",
        selector=more.get("selector", {"apps": "phi"}),
        instance_type=more.get("instance_type"),
        candidates=every if candidates is None else candidates,
        by_name={node["metadata"]["name"]: node for node in every},
        gpus=1,
        expected=Expectations(start_s=30, load_s=10, limit_s=100),
        now=NOW,
    )


def with_main(container: Obj, **status: Any) -> Obj:
    return a_pod(containerStatuses=[container], **status)


def with_init(container: Obj) -> Obj:
    return a_pod(initContainerStatuses=[container], containerStatuses=[waiting("PodInitializing")])


BACK_OFF = 'Back-off pulling image "i:1"'
PULL = 'failed to pull and unpack image "reg/img:1": failed to resolve reference "reg/img:1": '
ROWS: list[tuple[str, str, Obj, Surroundings]] = [
    ("no verdict of the scheduler yet", "PodScheduling", a_pod(node=None), around()),
    ("no node has the labels", "NoMatchingNode", unschedulable("0/1 nodes"), around(candidates=())),
    ("the matching node is lost", "NodeNotReady", unschedulable("0/1"), around(a_node(ready=False))),
    ("the matching node is cordoned", "NodeCordoned", unschedulable("0/1"), around(a_node(cordoned=True))),
    (
        "GPUs are taken",
        "InsufficientGpu",
        unschedulable("0/2 nodes: 2 Insufficient nvidia.com/gpu."),
        around(),
    ),
    ("memory is taken", "InsufficientMemory", unschedulable("1 Insufficient memory."), around()),
    ("CPU is taken", "InsufficientCpu", unschedulable("1 Insufficient cpu."), around()),
    (
        "a taint keeps pods away",
        "TaintNotTolerated",
        unschedulable("1 node(s) had untolerated taint(s)"),
        around(),
    ),
    (
        "the claim is missing",
        "VolumeClaimMissing",
        unschedulable('persistentvolumeclaim "w" not found'),
        around(),
    ),
    ("the scheduler says something new", "Unschedulable", unschedulable("moon phase"), around()),
    ("the pod's node is lost", "NodeNotReady", with_main(running()), around(a_node(ready=False))),
    ("nothing has started", "PodStarting", with_main(waiting("ContainerCreating")), around()),
    ("weights are being copied", "WeightsArriving", with_init(running()), around()),
    ("the server loads", "ModelLoading", with_main(running()), around()),
    ("the server loads for too long", "Overdue", with_main(running(since=-101), ready_at=at(-120)), around()),
    (
        "the server fell silent",
        "ServerUnhealthy",
        with_main(running(since=-50), ready_at=at(-10)),
        around(),
    ),
    (
        "the tag does not exist",
        "ImageNotFound",
        with_main(waiting("ErrImagePull", PULL + "reg/img:1: not found")),
        around(),
    ),
    (
        "the name is no name",
        "ImageNotFound",
        with_main(waiting("InvalidImageName", "couldn't parse")),
        around(),
    ),
    (
        "the registry wants a login",
        "ImageUnauthorized",
        with_main(waiting("ImagePullBackOff", PULL + "unexpected status: 401 Unauthorized")),
        around(),
    ),
    (
        "the registry is down",
        "RegistryUnreachable",
        with_main(waiting("ErrImagePull", PULL + "dial tcp 127.0.0.1:5999: connect: connection refused")),
        around(),
    ),
    (
        "the image is for another processor",
        "ImageArchitecture",
        with_main(waiting("ErrImagePull", "no match for platform in manifest: not found")),
        around(),
    ),
    ("the pull fails in a new way", "ImagePullFailed", with_main(waiting("ErrImagePull", "boom")), around()),
    (
        "a Secret is missing",
        "SecretMissing",
        with_main(waiting("CreateContainerConfigError", 'secret "hf" not found')),
        around(),
    ),
    (
        "a ConfigMap is missing",
        "ConfigMapMissing",
        with_main(waiting("CreateContainerConfigError", 'configmap "c" not found')),
        around(),
    ),
    (
        "the container cannot be created",
        "ContainerConfig",
        with_main(waiting("CreateContainerError", "no command specified")),
        around(),
    ),
    (
        "it used too much memory",
        "OutOfMemory",
        with_main(waiting("CrashLoopBackOff", lastState=ended(137, "OOMKilled"))),
        around(),
    ),
    (
        "the weights are of another format",
        "WeightsFormat",
        with_main(waiting("CrashLoopBackOff", lastState=ended(3, message="WeightsFormat: only .pth"))),
        around(),
    ),
    (
        "the adapter is of another model",
        "AdapterRefused",
        with_main(waiting("CrashLoopBackOff", lastState=ended(4, message="AdapterRefused: a is for b"))),
        around(),
    ),
    (
        "the hub wants a token",
        "HubDenied",
        with_init(waiting("CrashLoopBackOff", lastState=ended(10, message="HubDenied: 401 for x"))),
        around(),
    ),
    (
        "the server crashed",
        "ServerCrashed",
        with_main(a_container(state=ended(1, message="Traceback\nValueError: x"))),
        around(),
    ),
    (
        "the server restarts after a crash",
        "ServerCrashed",
        with_main(running(lastState=ended(1, message="boom"))),
        around(),
    ),
    (
        "the weights do not arrive",
        "WeightsDownload",
        with_init(waiting("CrashLoopBackOff", lastState=ended(4, message="401 from the hub"))),
        around(),
    ),
    (
        "the pull is put off after a cause",
        "ImageNotFound",
        with_main(waiting("ImagePullBackOff", 'Back-off pulling image "i:1": ErrImagePull: x: not found')),
        around(),
    ),
    ("the pull is put off", "ImagePullFailed", with_main(waiting("ImagePullBackOff", BACK_OFF)), around()),
    ("the server ended well", "ServerCrashed", with_main(running(lastState=ended(0, "Completed"))), around()),
    ("an init container has ended well", "WeightsArriving", with_init(a_container(state=ended(0))), around()),
    ("the pod was evicted", "PodFailed", a_pod(phase="Failed", message="low on memory"), around()),
]


@pytest.mark.parametrize(("code", "pod", "where"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_the_reason_is_named_when(code: str, pod: Obj, where: Surroundings) -> None:
    assert diagnose_pod(pod, None, where).reason.code == code


@pytest.mark.parametrize(("code", "pod", "where"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_the_message_has_no_empty_hole_when(code: str, pod: Obj, where: Surroundings) -> None:
    found = diagnose_pod(pod, None, where)
    assert "<" not in found.message + found.next_action
    assert found.next_action


EVENT_ROWS = [
    ("FailedMount", 'MountVolume.SetUp failed for volume "x" : secret "s" not found', "SecretMissing"),
    ("FailedMount", 'MountVolume.SetUp failed for volume "x" : configmap "c" not found', "ConfigMapMissing"),
    ("FailedMount", 'persistentvolumeclaim "p" not found', "VolumeClaimMissing"),
    ("FailedMount", "Unable to attach or mount volumes: timed out", "VolumeMountFailed"),
    ("Scheduled", "Successfully assigned", "PodStarting"),
    ("FailedAttachVolume", "Multi-Attach error for volume", "VolumeMountFailed"),
    (
        "FailedToRetrieveImagePullSecret",
        "Unable to retrieve some image pull secrets (s); attempting to pull the image may not succeed.",
        "PodStarting",
    ),
]


@pytest.mark.parametrize(("reason", "message", "code"), EVENT_ROWS)
def test_events_tell_what_the_pods_status_does_not(reason: str, message: str, code: str) -> None:
    pod = with_main(waiting("ContainerCreating"))
    events = PodEvents(NOW, (PodEvent(reason, message),))
    assert diagnose_pod(pod, events, around()).reason.code == code


def test_a_mount_that_failed_at_first_is_not_told_while_the_image_is_pulled() -> None:
    events = (PodEvent("Pulling", "Pulling image"), PodEvent("FailedMount", 'secret "s" not found'))
    found = diagnose_pod(with_main(waiting("ContainerCreating")), PodEvents(NOW, events), around())
    assert found.reason.code == "PodStarting"


def test_a_pull_says_the_same_while_it_is_put_off() -> None:
    cause = PULL + "reg/img:1: not found"
    put_off = f'Back-off pulling image "reg/img:1": ErrImagePull: {cause}'
    told = [
        diagnose_pod(with_main(waiting(reason, said)), None, around()).message
        for reason, said in (("ErrImagePull", cause), ("ImagePullBackOff", put_off))
    ]
    assert told[0] == told[1]


WORKLOAD_ROWS = [
    ('pods "x" is forbidden: exceeded quota: q, requested: pods=1', "QuotaExceeded"),
    ('pods "x" is forbidden: violates PodSecurity "restricted:latest"', "PodSecurity"),
    ("admission webhook denied the request: no", "PodsNotCreated"),
]


@pytest.mark.parametrize(("message", "code"), WORKLOAD_ROWS)
def test_a_deployment_without_pods_tells_why(message: str, code: str) -> None:
    condition = {"type": "ReplicaFailure", "status": "True", "message": message}
    found = diagnose_workload({"metadata": {}, "status": {"conditions": [condition]}}, "ns", "ws")
    assert found is not None
    assert found.reason.code == code
    assert message in found.message


def test_a_healthy_deployment_has_nothing_to_tell() -> None:
    assert diagnose_workload({"metadata": {}, "status": {"conditions": []}}, "ns", "ws") is None


def test_the_overdue_time_is_counted_from_the_first_start() -> None:
    pods = [with_main(running(since=-30)), with_main(running(since=-10))]
    assert overdue_in_s(pods, limit_s=100, now=NOW) == 70


def test_nothing_is_overdue_while_nothing_runs() -> None:
    assert overdue_in_s([a_pod()], limit_s=100, now=NOW) is None


def with_sidecar(state: Obj, *others: Obj) -> Obj:
    pod = a_pod(initContainerStatuses=[*others, state], containerStatuses=[waiting("PodInitializing")])
    pod["spec"]["initContainers"] = [{"name": "adapters", "restartPolicy": "Always"}]
    return pod


def test_a_sidecar_brings_no_weights() -> None:
    pod = with_sidecar(running(name="adapters"))
    assert diagnose_pod(pod, None, around()).reason.code == "PodStarting"
    pod = with_sidecar(running(name="adapters"), a_container("weights", state=ended(0)))
    found = diagnose_pod(pod, None, around())
    assert (found.reason.code, found.facts["container"]) == ("WeightsArriving", "weights")


def test_a_sidecar_that_ends_is_told_as_what_it_is() -> None:
    pod = with_sidecar(a_container("adapters", state=ended(1, message="no space left")))
    found = diagnose_pod(pod, None, around())
    assert (found.reason.code, found.facts["container"]) == ("ServerCrashed", "adapters")
