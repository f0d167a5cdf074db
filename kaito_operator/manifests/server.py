"""The pod that serves a preset: a container of the runtime image, its weights, a sidecar for adapters."""

from kaito_operator.api.quantities import format_memory_request
from kaito_operator.api.workspace import ServerSpec, Workspace
from kaito_operator.manifests.adapters import (
    ADAPTERS_PATH,
    LIVE_PATH,
    WantedAdapter,
    adapters_in_pod,
    live_adapters,
    takes_adapters,
    wanted_adapters,
)
from kaito_operator.manifests.group import group_command, group_environment
from kaito_operator.manifests.images import Mounted
from kaito_operator.manifests.ownership import Obj
from kaito_operator.manifests.scheduling import TOLERATIONS, NodeSource, affinity
from kaito_operator.manifests.service import SERVER_PORT
from kaito_operator.manifests.weights import WEIGHTS_PATH, Delivery, mounted_weights
from kaito_operator.planner.plan import MAX_CONTEXT_TOKENS, Plan
from kaito_operator.settings import RuntimeSettings

KEYS_PATH = "/etc/kaito/api-keys"
KEYS_VOLUME = "api-keys"
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
    workspace: Workspace,
    plan: Plan,
    way: Delivery,
    runtime: RuntimeSettings,
    source: NodeSource,
    in_pod: frozenset[str] = frozenset(),
) -> Obj:
    """The pod template's spec for a preset; `in_pod` names the adapters that the pod brings itself."""
    brought = tuple(a for a in wanted_adapters(workspace) if a.name in in_pod and takes_adapters(plan))
    secrets = _pull_secret_names(workspace)
    parts = _mounted(workspace, plan, way, runtime, brought, secrets)
    init_containers = _without_repeats([c for part in parts for c in part.init_containers])
    mounts = [mount for part in parts for mount in part.mounts]
    volumes = [volume for part in parts for volume in part.volumes]
    server_name = _free_name(workspace.metadata.name, init_containers)
    spec: Obj = {
        "securityContext": POD_SECURITY,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 60,
        "affinity": affinity(workspace, source),
        "tolerations": list(TOLERATIONS),
        "containers": [_server(server_name, workspace, plan, runtime, mounts)],
        "volumes": _without_repeats([{"name": "tmp", "emptyDir": {}}, *volumes]),
    }
    if plan.gpus_per_pod > 1:
        # NCCL exchanges tensors between the GPUs of a node through shared memory.
        spec["volumes"].append({"name": "dshm", "emptyDir": {"medium": "Memory"}})
        spec["containers"][0]["volumeMounts"].append({"name": "dshm", "mountPath": "/dev/shm"})  # noqa: S108
    if init_containers:
        spec["initContainers"] = init_containers
    if brought:
        spec["containers"][0]["args"] += ["--adapters", ADAPTERS_PATH]
    if secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in secrets]
    # The server never talks to the API server, so it gets no token to lose.
    return {**spec, "automountServiceAccountToken": False}


def _mounted(
    workspace: Workspace,
    plan: Plan,
    way: Delivery,
    runtime: RuntimeSettings,
    brought: tuple[WantedAdapter, ...],
    secrets: list[str],
) -> tuple[Mounted, ...]:
    """Weights, adapters of the pod's own, what brings the others, API keys."""
    weights = mounted_weights(plan, way, runtime, CONTAINER_SECURITY)
    keys = _mounted_keys(_server_spec(workspace))
    if not takes_adapters(plan):
        return (weights, keys)
    folders = adapters_in_pod(brought, way, runtime, CONTAINER_SECURITY)
    live = live_adapters(workspace, secrets, folders, runtime, CONTAINER_SECURITY)
    return (weights, folders, live, keys)


def _mounted_keys(server: ServerSpec) -> Mounted:
    """The Secret with the clients' keys, readable for the server's group alone."""
    if not server.api_keys_secret:
        return Mounted((), ())
    secret = {"secretName": server.api_keys_secret, "defaultMode": 0o440}
    return Mounted(
        volumes=({"name": KEYS_VOLUME, "secret": secret},),
        mounts=({"name": KEYS_VOLUME, "mountPath": KEYS_PATH, "readOnly": True},),
    )


def _server_spec(workspace: Workspace) -> ServerSpec:
    return (workspace.inference.server if workspace.inference else None) or ServerSpec()


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
        "env": [*_environment(), *(group_environment() if plan.is_group else [])],
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


def _command(workspace: Workspace, plan: Plan) -> list[str]:
    if plan.is_group:
        return group_command(workspace.metadata, plan)
    return ["python3", "-m", "inference_server"]


def _arguments(workspace: Workspace, plan: Plan) -> list[str]:
    arguments = ["--model", WEIGHTS_PATH, "--served-model-name", plan.model_name]
    arguments += ["--workspace-name", workspace.metadata.name]
    arguments += ["--port", str(SERVER_PORT), "--dtype", plan.dtype]
    arguments += _server_arguments(_server_spec(workspace))
    if takes_adapters(plan):
        arguments += ["--live-adapters", LIVE_PATH]
    if plan.timing.load_s:
        arguments += ["--expected-load-seconds", str(plan.timing.load_s)]
    if plan.gpus_per_pod:
        arguments += ["--gpus", str(plan.gpus_per_pod)]
    if plan.trust_remote_code:
        arguments.append("--trust-remote-code")
    if plan.preset and plan.preset.weights.image.format == "bin":
        # Published in no other form. They are read without running what a pickle can run.
        arguments.append("--allow-pickled-weights")
    return arguments


def _server_arguments(server: ServerSpec) -> list[str]:
    """What the Workspace says of the server, in the ranges of the CRD."""
    limits = (
        ("--max-model-len", server.context_tokens, 2, MAX_CONTEXT_TOKENS),
        ("--max-concurrency", server.max_concurrent_requests, 1, 1024),
        ("--request-timeout", server.request_timeout_seconds, 1, 86_400),
    )
    arguments = []
    for flag, number, least, most in limits:
        if number is not None:
            arguments += [flag, str(min(max(number, least), most))]
    if server.api_keys_secret:
        arguments += ["--api-keys", KEYS_PATH]
    return arguments


def _environment() -> list[Obj]:
    return [
        {"name": "HOME", "value": "/tmp"},  # noqa: S108 - the pod's own emptyDir
        {"name": "HF_HOME", "value": "/tmp/hf"},  # noqa: S108 - the pod's own emptyDir
        {"name": "HF_HUB_OFFLINE", "value": "1"},
    ]


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


def _pull_secret_names(workspace: Workspace) -> list[str]:
    """Secrets for the node and for the sidecar; sorted, so that the order of adapters rolls nothing."""
    inference = workspace.inference
    names = list(inference.preset.preset_options.image_pull_secrets) if inference and inference.preset else []
    adapters = {secret for adapter in wanted_adapters(workspace) for secret in adapter.pull_secrets}
    return list(dict.fromkeys([*names, *sorted(adapters)]))


def _without_repeats(items: list[Obj]) -> list[Obj]:
    """The first of each name: weights and adapters both bring the copier."""
    first: dict[str, Obj] = {}
    for item in items:
        first.setdefault(item["name"], item)
    return list(first.values())
