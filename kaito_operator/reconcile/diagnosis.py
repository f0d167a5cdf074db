"""From symptoms to a reason: what exactly keeps one pod from being ready.

Each function looks at one layer, in the order in which a pod comes to life: scheduler, node, images and
volumes, init containers, server. The first layer that has something to say is the answer.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from kaito_operator.api.labels import LABEL_INSTANCE_TYPE, LABEL_OS, LABEL_WORKSPACE
from kaito_operator.api.reasons import REASONS, Finding, finding
from kaito_operator.reconcile import nodes, pods
from kaito_operator.reconcile.observed import Obj, PodEvents
from kaito_operator.reconcile.pods import ContainerState

IMAGE_TROUBLE = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
)
_IMAGE_WORDS: tuple[tuple[str, str], ...] = (
    (r"no match for platform|exec format error|does not match the specified platform", "ImageArchitecture"),
    (
        r"\b401\b|\b403\b|unauthorized|forbidden|authorization failed|denied|no basic auth",
        "ImageUnauthorized",
    ),
    (r"not found|manifest unknown|name unknown|invalid reference|couldn't parse image", "ImageNotFound"),
    (
        r"connection refused|no such host|i/o timeout|deadline exceeded|no route|unreachable|tls:|x509",
        "RegistryUnreachable",
    ),
)
_SCHEDULER_WORDS: tuple[tuple[str, str], ...] = (
    (r"Insufficient nvidia\.com/gpu", "InsufficientGpu"),
    (r"Insufficient memory", "InsufficientMemory"),
    (r"Insufficient cpu", "InsufficientCpu"),
    (r"persistentvolumeclaim", "VolumeClaimMissing"),
    (r"untolerated taint", "TaintNotTolerated"),
)
# Times have whole seconds: a container that starts in the second in which its pod was found not ready.
# What the node does only once all volumes are mounted.
_MOUNTED = frozenset({"Pulling", "Pulled", "Created", "Started"})
READINESS_GRACE = timedelta(seconds=2)
_QUOTED = re.compile(r'"([^"]+)"')
# The kubelet turns from the cause to "back-off" with the cause behind it, at every try: one status for both.
_BACK_OFF = re.compile(r'^Back-off pulling image "[^"]*"(: \w+: )?')


@dataclass(frozen=True)
class Expectations:
    """What is normal, so that the diagnosis can tell late from wrong.

    Attributes:
        start_s, load_s: seconds that starting and loading are planned to take.
        limit_s: seconds of loading after which it is called overdue.
    """

    start_s: int
    load_s: int
    limit_s: int


@dataclass(frozen=True)
class Surroundings:
    """What the diagnosis of one Workspace's pods may look at.

    Attributes:
        selector: labels that a node must have.
        instance_type: that a node must have, if it has one; None is any.
        candidates: the nodes that have them.
        by_name: all nodes.
        gpus: GPUs that each pod asks for.
    """

    namespace: str
    selector: Mapping[str, str]
    instance_type: str | None
    candidates: tuple[Obj, ...]
    by_name: Mapping[str, Obj]
    gpus: int
    expected: Expectations
    now: datetime


def diagnose_pod(pod: Obj, events: PodEvents | None, around: Surroundings) -> Finding:
    """What a pod that is not ready waits for."""
    if pods.is_finished(pod):
        detail = pod["status"].get("message") or pod["status"].get("reason") or "it has ended"
        return _about(pod, around, "PodFailed", detail=detail)
    return (
        _scheduling(pod, around)
        or _node(pod, around)
        or _containers(pod, around)
        or _volumes(pod, events, around)
        or _progress(pod, around)
    )


def _about(pod: Obj, around: Surroundings, code: str, **facts: str) -> Finding:
    common = {
        "pod": str(pod["metadata"]["name"]),
        "namespace": around.namespace,
        "node": pods.node_of(pod),
        "name": str(pod["metadata"].get("labels", {}).get(LABEL_WORKSPACE, "")),
    }
    return finding(code, **{**common, **facts})


def _scheduling(pod: Obj, around: Surroundings) -> Finding | None:
    if pods.node_of(pod):
        return None
    verdict = pods.condition(pod, "PodScheduled")
    if verdict.get("reason") != "Unschedulable":
        return _about(pod, around, "PodScheduling")
    said = str(verdict.get("message", ""))
    if not around.candidates:
        return _about(pod, around, "NoMatchingNode", **_selector_facts(around))
    if trouble := _unusable(around):
        return trouble
    code = _first_match(_SCHEDULER_WORDS, said) or "Unschedulable"
    claim = _QUOTED.search(said)
    return _about(
        pod,
        around,
        code,
        detail=said,
        gpus=str(around.gpus),
        object=claim.group(1) if claim else "of the pod",
    )


def _selector_facts(around: Surroundings) -> dict[str, str]:
    # Without labels of the user's, as the pod's affinity has it.
    selector = around.selector or {LABEL_OS: "linux"}
    pairs = [f"{key}={value}" for key, value in sorted(selector.items())]
    typed = [f"{LABEL_INSTANCE_TYPE}={around.instance_type}"] if around.instance_type else []
    return {"selector": ", ".join([*pairs, *typed]), "example": " ".join(pairs or typed)}


def _unusable(around: Surroundings) -> Finding | None:
    """The reason when every matching node is not ready or cordoned."""
    usable = [n for n in around.candidates if nodes.is_ready(n) and not nodes.is_cordoned(n)]
    if usable:
        return None
    broken = [n for n in around.candidates if not nodes.is_ready(n)]
    if broken:
        return _not_ready(broken[0])
    names = [str(n["metadata"]["name"]) for n in around.candidates]
    return finding("NodeCordoned", nodes=", ".join(names), node=names[0])


def _not_ready(node: Obj) -> Finding:
    said = nodes.ready_condition(node)
    detail = str(said.get("message") or said.get("reason") or "it does not report")
    return finding("NodeNotReady", node=str(node["metadata"]["name"]), detail=detail)


def _node(pod: Obj, around: Surroundings) -> Finding | None:
    node = around.by_name.get(pods.node_of(pod))
    if node is not None and not nodes.is_ready(node):
        return _not_ready(node)
    return None


def _containers(pod: Obj, around: Surroundings) -> Finding | None:
    for container in pods.containers(pod):
        facts = _container_trouble(container)
        if facts is not None:
            code, details = facts
            return _about(pod, around, code, container=container.name, **details)
    return None


def _container_trouble(container: ContainerState) -> tuple[str, dict[str, str]] | None:
    """(reason code, facts) when something is wrong with this container; None while it is well or starting."""
    reason, said = container.waiting_reason, container.waiting_message
    if reason in IMAGE_TROUBLE:
        said = _BACK_OFF.sub("", said)
        code = _first_match(_IMAGE_WORDS, said) or "ImagePullFailed"
        if reason == "InvalidImageName":
            code = "ImageNotFound"
        return code, {"image": container.image, "detail": said or reason}
    if reason in ("CreateContainerConfigError", "CreateContainerError", "RunContainerError"):
        return _config_trouble(said or reason)
    if not container.ready and _ended_badly(container):
        return _crash(container)
    return None


def _config_trouble(said: str) -> tuple[str, dict[str, str]]:
    for word, code in (("secret", "SecretMissing"), ("configmap", "ConfigMapMissing")):
        if re.search(rf"\b{word}\b", said, re.IGNORECASE):
            named = _QUOTED.search(said)
            return code, {"object": _bare(named.group(1)) if named else "NAME", "detail": said}
    if "exec format error" in said:
        return "ImageArchitecture", {"image": "of the container", "detail": said}
    return "ContainerConfig", {"detail": said}


def _bare(name: str) -> str:
    return name.rsplit("/", 1)[-1]


def _ended_badly(container: ContainerState) -> bool:
    # A server is not to end, not even well; an init container is.
    well = (None, 0) if container.role == "init" else (None,)
    return container.exit_code not in well or container.waiting_reason == "CrashLoopBackOff"


def _crash(container: ContainerState) -> tuple[str, dict[str, str]]:
    if container.exit_reason == "OOMKilled":
        return "OutOfMemory", {}
    # Our own programs begin their last words with the name of a reason.
    named, _, text = container.exit_message.partition(":")
    if named in REASONS and text.strip():
        return named, {"detail": text.strip()}
    # Others' end with it, as a traceback does.
    last_words = container.exit_message.splitlines()[-1] if container.exit_message else ""
    detail = last_words or container.exit_reason or "no last words"
    facts = {"exit_code": str(container.exit_code), "detail": detail}
    if container.role == "init":
        return "WeightsDownload", facts
    return "ServerCrashed", facts


def _volumes(pod: Obj, events: PodEvents | None, around: Surroundings) -> Finding | None:
    """What the Events say of mounts; only the node's Events know of a missing Secret or claim."""
    for event in events.events if events else ():
        if event.reason in _MOUNTED:
            return None  # newest first: what failed before was tried again since
        if event.reason not in ("FailedMount", "FailedAttachVolume"):
            continue
        missing = re.search(r'(secret|configmap|persistentvolumeclaim)s? "([^"]+)" not found', event.message)
        if missing:
            codes = {"secret": "SecretMissing", "configmap": "ConfigMapMissing"}
            code = codes.get(missing.group(1), "VolumeClaimMissing")
            return _about(pod, around, code, object=_bare(missing.group(2)), detail=event.message)
        about_image = _first_match(_IMAGE_WORDS, event.message) if "image" in event.message else None
        if about_image:
            return _about(pod, around, about_image, image="of a volume", detail=event.message)
        return _about(pod, around, "VolumeMountFailed", detail=event.message)
    return None


def _progress(pod: Obj, around: Surroundings) -> Finding:
    """Nothing is wrong: how far the pod is."""
    states = list(pods.containers(pod))
    main = [c for c in states if c.role == "main"]
    if any(c.running for c in main):
        return _loading(pod, around)
    expected = _duration(around.expected.start_s)
    init = [
        c for c in states if c.role == "init"
    ]  # a sidecar runs beside the server, and brings nothing first
    if any(c.running or c.started_once for c in init):
        # One and the same for all of them, so that the status does not turn with each.
        return _about(pod, around, "WeightsArriving", container=init[-1].name, expected=expected)
    return _about(pod, around, "PodStarting", expected=expected)


def _loading(pod: Obj, around: Surroundings) -> Finding:
    if _was_ready(pod):
        return _about(pod, around, "ServerUnhealthy")
    if _loading_for_s(pod, around.now) >= around.expected.limit_s:
        return _about(pod, around, "Overdue", limit=_duration(around.expected.limit_s))
    return _about(pod, around, "ModelLoading", expected=_duration(around.expected.load_s))


def overdue_in_s(loading: Sequence[Obj], limit_s: int, now: datetime) -> float | None:
    """Seconds until the next of these pods has been loading for too long; None when none will be.

    A moment that has passed is no reason to look again: it would be one for ever.
    """
    left = [limit_s - _loading_for_s(pod, now) for pod in loading if any(_running_since(pod))]
    return min((seconds for seconds in left if seconds > 0), default=None)


def _loading_for_s(pod: Obj, now: datetime) -> float:
    """Seconds since the first container of the pod started; 0 when none runs."""
    started = min(_running_since(pod), default=now)
    return (now - started).total_seconds()


def _running_since(pod: Obj) -> Iterator[datetime]:
    for entry in pod["status"].get("containerStatuses", ()):
        if moment := ((entry.get("state") or {}).get("running") or {}).get("startedAt"):
            yield datetime.fromisoformat(moment)


def _was_ready(pod: Obj) -> bool:
    """True when readiness was lost after the present container start, not merely never reached."""
    lost = pods.condition(pod, "Ready").get("lastTransitionTime")
    started = max(_running_since(pod), default=None)
    return bool(lost and started and datetime.fromisoformat(lost) > started + READINESS_GRACE)


def _duration(seconds: int) -> str:
    return f"{seconds} s" if seconds < 120 else f"{round(seconds / 60)} min"


def _first_match(table: tuple[tuple[str, str], ...], text: str) -> str | None:
    for pattern, code in table:
        if re.search(pattern, text, re.IGNORECASE):
            return code
    return None
