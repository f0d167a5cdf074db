"""The pod that serves a preset: one container of the runtime image, weights and adapters mounted."""

import json

from kaito_operator.api.quantities import format_memory_request
from kaito_operator.api.workspace import AdapterSpec, Workspace
from kaito_operator.manifests.group import group_command, group_environment
from kaito_operator.manifests.images import ImageFolder, Mounted, as_copies, as_image_volumes
from kaito_operator.manifests.ownership import Obj, content_hash
from kaito_operator.manifests.scheduling import TOLERATIONS, NodeSource, affinity
from kaito_operator.manifests.service import SERVER_PORT
from kaito_operator.manifests.weights import WEIGHTS_PATH, Delivery, mounted_weights
from kaito_operator.planner.plan import Plan
from kaito_operator.settings import RuntimeSettings

ADAPTERS_PATH = "/mnt/adapter"
ADAPTER_PATH_IN_IMAGE = "/data"
LABEL_LENGTH = 63
LEAVE_AFTER_S = 3
RUN_AS = 65532  # "nonroot" of the common minimal images; the runtime image's own user

POD_SECURITY: Obj = {
    "runAsNonRoot": True,
    "runAsUser": RUN_AS,
    "runAsGroup": RUN_AS,
    "fsGroup": RUN_AS,
    "fsGroupChangePolicy": "OnRootMismatch",
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER_SECURITY: Obj = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}


def server_pod(
    workspace: Workspace, plan: Plan, way: Delivery, runtime: RuntimeSettings, source: NodeSource
) -> Obj:
    """The pod template's spec for a preset."""
    weights = mounted_weights(plan, way, runtime, CONTAINER_SECURITY)
    adapters = _mounted_adapters(workspace, way, runtime)
    init_containers = _without_repeats([*weights.init_containers, *adapters.init_containers])
    server_name = _free_name(workspace.metadata.name, init_containers)
    spec: Obj = {
        "securityContext": POD_SECURITY,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 60,
        "affinity": affinity(workspace, source),
        "tolerations": list(TOLERATIONS),
        "containers": [_server(server_name, workspace, plan, runtime, [*weights.mounts, *adapters.mounts])],
        "volumes": _without_repeats([{"name": "tmp", "emptyDir": {}}, *weights.volumes, *adapters.volumes]),
    }
    if plan.gpus_per_pod > 1:
        # NCCL exchanges tensors between the GPUs of a node through shared memory.
        spec["volumes"].append({"name": "dshm", "emptyDir": {"medium": "Memory"}})
        spec["containers"][0]["volumeMounts"].append({"name": "dshm", "mountPath": "/dev/shm"})  # noqa: S108
    if init_containers:
        spec["initContainers"] = init_containers
    if secrets := _pull_secrets(workspace):
        spec["imagePullSecrets"] = [{"name": name} for name in secrets]
    # The server never talks to the API server, so it gets no token to lose.
    return {**spec, "automountServiceAccountToken": False}


def _free_name(name: str, taken: list[Obj]) -> str:
    """The Workspace's name, as in v0.3.0, unless it is called like one of our own containers."""
    if any(container["name"] == name for container in taken):
        return _free_name(f"{name}-server", taken)
    return name


def _server(name: str, workspace: Workspace, plan: Plan, runtime: RuntimeSettings, mounts: list[Obj]) -> Obj:
    return {
        "name": name,
        "image": runtime.runtime_image,
        "imagePullPolicy": "IfNotPresent",
        "command": _command(workspace, plan),
        "args": _arguments(workspace, plan),
        "env": [*_environment(workspace), *(group_environment() if _is_group(plan) else [])],
        "ports": [{"name": "http", "containerPort": SERVER_PORT, "protocol": "TCP"}],
        "resources": _resources(plan),
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, *mounts],  # noqa: S108 - the pod's emptyDir
        "securityContext": CONTAINER_SECURITY,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        # Until every node has heard that the pod is leaving, requests still arrive: serve them.
        "lifecycle": {"preStop": {"sleep": {"seconds": LEAVE_AFTER_S}}},
        "startupProbe": _probe("/healthz", period_s=1, failures=plan.timing.limit_s),
        "readinessProbe": _probe("/healthz", period_s=3, failures=2),
        "livenessProbe": _probe("/livez", period_s=10, failures=6),
    }


def _is_group(plan: Plan) -> bool:
    return plan.distributed and plan.replicas > 1


def _command(workspace: Workspace, plan: Plan) -> list[str]:
    if _is_group(plan):
        return group_command(workspace.metadata, plan)
    return ["python3", "-m", "inference_server"]


def _arguments(workspace: Workspace, plan: Plan) -> list[str]:
    arguments = ["--model", WEIGHTS_PATH, "--served-model-name", plan.model_name]
    arguments += ["--port", str(SERVER_PORT), "--dtype", plan.dtype]
    if workspace.inference and workspace.inference.adapters:
        arguments += ["--adapters", ADAPTERS_PATH]
    if plan.gpus_per_pod:
        arguments += ["--gpus", str(plan.gpus_per_pod)]
    if plan.trust_remote_code:
        arguments.append("--trust-remote-code")
    if plan.preset and plan.preset.weights.image.format == "bin":
        # Published in no other form. They are read without running what a pickle can run.
        arguments.append("--allow-pickled-weights")
    return arguments


def _environment(workspace: Workspace) -> list[Obj]:
    environment = [
        {"name": "HOME", "value": "/tmp"},  # noqa: S108 - the pod's own emptyDir
        {"name": "HF_HOME", "value": "/tmp/hf"},  # noqa: S108 - the pod's own emptyDir
        {"name": "HF_HUB_OFFLINE", "value": "1"},
    ]
    strengths = {
        adapter.source.name: strength
        for adapter in _adapters(workspace)
        if adapter.source and (strength := _number(adapter.strength)) is not None
    }
    if strengths:
        value = json.dumps(strengths, sort_keys=True)
        environment.append({"name": "KAITO_ADAPTER_STRENGTHS", "value": value})
    return environment


def _number(text: str | None) -> float | None:
    """The strength; None for the default, and for what v0.3.0 stored unchecked and took for the default."""
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _resources(plan: Plan) -> Obj:
    requests: Obj = {"cpu": plan.cpu_request, "memory": format_memory_request(plan.memory_request_bytes)}
    if plan.gpus_per_pod == 0:
        return {"requests": requests}
    gpus = {"nvidia.com/gpu": str(plan.gpus_per_pod)}
    return {"requests": {**requests, **gpus}, "limits": gpus}


def _probe(path: str, *, period_s: int, failures: int) -> Obj:
    return {
        "httpGet": {"path": path, "port": SERVER_PORT},
        "periodSeconds": period_s,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _adapters(workspace: Workspace) -> list[AdapterSpec]:
    return list(workspace.inference.adapters) if workspace.inference else []


def _mounted_adapters(workspace: Workspace, way: Delivery, runtime: RuntimeSettings) -> Mounted:
    folders = tuple(
        ImageFolder(
            name=_adapter_label(adapter.source.name),
            image=adapter.source.image,
            path=ADAPTER_PATH_IN_IMAGE,
            mount_path=f"{ADAPTERS_PATH}/{adapter.source.name}",
        )
        for adapter in _adapters(workspace)
        if adapter.source and adapter.source.name and adapter.source.image
    )
    if way == "image":
        return as_image_volumes(folders)
    return as_copies(folders, runtime.runtime_image, CONTAINER_SECURITY)


def _adapter_label(name: str) -> str:
    """A DNS label for the adapter's volume and container: names may be as long as a label themselves."""
    label = f"adapter-{name}"
    return label if len(label) <= LABEL_LENGTH else f"{label[:46]}-{content_hash(name)}"


def _pull_secrets(workspace: Workspace) -> list[str]:
    inference = workspace.inference
    names = list(inference.preset.preset_options.image_pull_secrets) if inference and inference.preset else []
    for adapter in _adapters(workspace):
        names += adapter.source.image_pull_secrets if adapter.source else []
    return list(dict.fromkeys(names))


def _without_repeats(items: list[Obj]) -> list[Obj]:
    """The first of each name: weights and adapters both bring the copier."""
    first: dict[str, Obj] = {}
    for item in items:
        first.setdefault(item["name"], item)
    return list(first.values())
