"""What one Workspace asks of the cluster, worked out from its text and the catalog alone."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Literal

from kaito_operator.api.labels import ANNOTATION_ENABLE_LB
from kaito_operator.api.quantities import GIB, format_cpu
from kaito_operator.api.reasons import finding
from kaito_operator.api.workspace import PresetOptions, PresetSpec, Workspace
from kaito_operator.planner.choice import choose
from kaito_operator.planner.disk import disk_bytes
from kaito_operator.planner.fit import CPU_DTYPE
from kaito_operator.planner.memory import PLANNED, MemoryNeed, Sizing, memory_need
from kaito_operator.planner.placement import Placement, Places
from kaito_operator.planner.timing import (
    UNKNOWN_TIMING,
    Timing,
    WeightsWay,
    expected_timing,
    provisioning_s,
)
from kaito_operator.settings import RuntimeSettings
from presets.catalog import PROJECT_REGISTRY, Catalog, Dtype, Preset

PlanKind = Literal["preset", "template", "none"]
"""none: nothing to serve, as in a Workspace that tunes."""

CPU_MODEL_MILLICORES: Final = 500
"""A choice: small enough for several pods on a laptop. Without a limit a pod takes what is idle."""

GPU_MODEL_MILLICORES: Final = 1000
"""For each GPU, one process feeds it from one core. An assumption; the smallest GPU machines have 4 cores."""

GPU_HOST_MEMORY_BYTES: Final = 4 * GIB
"""Main memory of a pod whose model is on GPUs: the CUDA libraries and one piece of a checkpoint on its way.
An assumption; the files themselves are page cache, which the kernel takes back."""

MAX_REPLICAS: Final = 1000
"""As in the CRD; v0.3.0 stored any number."""

MAX_CONTEXT_TOKENS: Final = 1_048_576
"""As in the CRD."""


@dataclass(frozen=True)
class ImageWeights:
    """A folder of an image: its full reference, and the absolute path of the folder inside."""

    image: str
    path: str


@dataclass(frozen=True)
class ClaimWeights:
    """A folder of a PersistentVolumeClaim; an empty path is the whole volume."""

    claim: str
    path: str


@dataclass(frozen=True)
class HubWeights:
    """A commit of a hub repository, and the Secret with a token for it, if one is named."""

    repository: str
    revision: str
    token_secret: str | None


WeightsSource = ImageWeights | ClaimWeights | HubWeights


@dataclass(frozen=True)
class Plan:
    """The needs of one Workspace.

    Attributes:
        preset: its row; None for a template, or a name that the catalog does not have.
        model_name: under which the server serves; empty for a template.
        replicas: pods, each a whole server; or, on several nodes and `distributed`, parts of one.
        dtype: type of the weights in memory.
        cpu_request: of one pod, as a Kubernetes quantity.
        memory_request_bytes: main memory of one pod.
        disk_bytes: of one node, for its system, images, and every copy of the weights.
        memory: what the model needs where it runs; None where nothing is known of the model.
        weights_candidates: where the weights may come from, the preferred first.
        instance_type: that is named, or was chosen because nodes can be added; None: any node will do.
        candidates: types to try, in this order. Another one may need another pod.
        distributed: the preset's pods form one group when there are several.
        places: every type of the table; None where nothing is known of the model or of the named type.
        placement: of the model on `instance_type`; None where that is None, not known, or too small.
        warnings: sentences for the user; none of them keeps the Workspace from being served.
    """

    kind: PlanKind
    replicas: int
    preset: Preset | None = None
    model_name: str = ""
    gpus_per_pod: int = 0
    dtype: Dtype | Literal["auto"] = "auto"
    trust_remote_code: bool = False
    cpu_request: str = "0"
    memory_request_bytes: int = 0
    disk_bytes: int = 0
    memory: MemoryNeed | None = None
    weights_candidates: tuple[WeightsSource, ...] = ()
    timing: Timing = UNKNOWN_TIMING
    instance_type: str | None = None
    candidates: tuple[str, ...] = ()
    distributed: bool = False
    places: Places | None = None
    placement: Placement | None = None
    warnings: tuple[str, ...] = ()

    @property
    def weights(self) -> WeightsSource | None:
        """Where the weights come from; None when nothing is known, or a template brings its own."""
        return self.weights_candidates[0] if self.weights_candidates else None

    @property
    def is_group(self) -> bool:
        """Whether its pods are parts of one server."""
        return self.distributed and self.replicas > 1


def plan_workspace(
    workspace: Workspace, catalog: Catalog, runtime: RuntimeSettings, sizing: Sizing = PLANNED
) -> Plan:
    """The plan of any Workspace that can be read. Raises nothing.

    What cannot be served gets a plan that asks for nothing; `validate` says what is wrong with it.
    """
    replicas = node_count(workspace)
    sizing = sizing_of(workspace, sizing)
    inference = workspace.inference
    if inference is None or (inference.template is None and inference.preset is None):
        return Plan("none", replicas)
    spec = inference.preset if inference.template is None else None
    row = catalog.get(spec.name) if spec else None
    choice = choose(row, named_type(workspace), replicas, catalog.instance_types, runtime, sizing)
    plan = Plan(
        "preset" if spec else "template",
        replicas,
        instance_type=choice.instance_type,
        candidates=choice.candidates,
        places=choice.places,
        placement=choice.placement,
        warnings=(*_of_service(workspace), *choice.warnings),
    )
    if spec is None:
        return replace(plan, timing=_with_new_nodes(UNKNOWN_TIMING, runtime, gpu=True))
    if row is None:
        return replace(plan, model_name=spec.name)
    return _plan_preset(plan, spec, row, runtime, sizing)


def node_count(workspace: Workspace) -> int:
    """Nodes that are asked for, in the range of the CRD."""
    count = workspace.resource.count if workspace.resource else 1
    return min(max(count, 1), MAX_REPLICAS)


def sizing_of(workspace: Workspace, sizing: Sizing = PLANNED) -> Sizing:
    """What memory is planned for: the context that the Workspace asks for, in the range of the CRD."""
    server = workspace.inference.server if workspace.inference else None
    if server is None or server.context_tokens is None or sizing.context_tokens is not None:
        return sizing
    return replace(sizing, context_tokens=min(max(server.context_tokens, 2), MAX_CONTEXT_TOKENS))


def open_to_all(workspace: Workspace) -> bool:
    """Whether a preset is served through a LoadBalancer and asks nobody for a key."""
    if workspace.inference is None or workspace.inference.preset is None:
        return False
    server = workspace.inference.server
    balanced = workspace.metadata.annotations.get(ANNOTATION_ENABLE_LB) == "True"
    return balanced and not (server and server.api_keys_secret)


def _of_service(workspace: Workspace) -> tuple[str, ...]:
    if not open_to_all(workspace):
        return ()
    said = finding("LoadBalancerOpen", name=workspace.metadata.name)
    return (f"{said.message} {said.next_action}",)


def named_type(workspace: Workspace) -> str | None:
    """The instance type that the user asks for."""
    return (workspace.resource.instance_type if workspace.resource else None) or None


def _plan_preset(plan: Plan, spec: PresetSpec, row: Preset, runtime: RuntimeSettings, sizing: Sizing) -> Plan:
    candidates = weights_candidates(spec.preset_options, row, runtime)
    way = _WAYS[type(candidates[0])] if candidates else "image"
    placement = plan.placement
    gpus = placement.gpus_per_pod if placement else row.gpus
    dtype = placement.dtype if placement else row.dtype if row.gpus else CPU_DTYPE
    memory = placement.memory if placement else memory_need(row, dtype, sizing)
    timing = expected_timing(row.weights.bytes, way, gpu=gpus > 0, readiness_s=row.readiness_minutes * 60)
    return replace(
        plan,
        preset=row,
        model_name=row.name,
        gpus_per_pod=gpus,
        dtype=dtype,
        trust_remote_code=spec.preset_options.trust_remote_code,
        cpu_request=format_cpu(gpus * GPU_MODEL_MILLICORES or CPU_MODEL_MILLICORES),
        memory_request_bytes=GPU_HOST_MEMORY_BYTES if gpus else memory.total_bytes,
        disk_bytes=disk_bytes(row.weights.bytes, way, gpu=gpus > 0, at_least_gib=row.disk_gib),
        memory=memory,
        weights_candidates=candidates,
        timing=_with_new_nodes(timing, runtime, gpu=gpus > 0),
        distributed=row.distributed,
    )


def _with_new_nodes(timing: Timing, runtime: RuntimeSettings, *, gpu: bool) -> Timing:
    """The same where the nodes have to be added first. The limit counts from the start of the pod."""
    if runtime.provisioning == "none":
        return timing
    return replace(timing, provisioning_s=provisioning_s(gpu=gpu))


_WAYS: Final[Mapping[type[WeightsSource], WeightsWay]] = MappingProxyType(
    {ImageWeights: "image", ClaimWeights: "volumeClaim", HubWeights: "hub"}
)


def weights_candidates(
    options: PresetOptions, row: Preset, runtime: RuntimeSettings
) -> tuple[WeightsSource, ...]:
    """Where the weights of a preset may come from: a volume that is named, else an image, else the hub.

    With `weightsFrom` only that source counts, unless this installation does not have it: our own images
    are in no public registry, and without one of the installation's the hub has the same weights.
    """
    sources = (_claim(options), _image(options, row, runtime), _hub(options, row))
    found = tuple(source for source in sources if source is not None)
    return tuple(s for s in found if _WAYS[type(s)] == options.weights_from) or found


def _claim(options: PresetOptions) -> ClaimWeights | None:
    if not options.volume_claim:
        return None
    return ClaimWeights(options.volume_claim, options.weights_path or "")


def _image(options: PresetOptions, row: Preset, runtime: RuntimeSettings) -> ImageWeights | None:
    """The user's own image, or the row's; None where nobody publishes one, or not where we could know."""
    image = row.weights.image
    path = "/" + (options.weights_path or image.path).strip("/")
    if options.image:
        return ImageWeights(options.image, path)
    if image.registry is None:
        return None
    ours = image.registry == PROJECT_REGISTRY
    registry = runtime.project_registry if ours else runtime.preset_registry or image.registry
    return ImageWeights(f"{registry}/{image.repository}:{image.tag}", path) if registry else None


def _hub(options: PresetOptions, row: Preset) -> HubWeights | None:
    """The row's repository; None as a mere fallback where it is known to refuse us."""
    refused = row.hub.gated and not options.model_access_secret
    if refused and options.weights_from != "hub":
        return None
    return HubWeights(row.hub.id, row.hub.revision, options.model_access_secret)
