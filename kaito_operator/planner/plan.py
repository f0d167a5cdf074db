"""What one Workspace asks of the cluster, worked out from its text and the catalog alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from kaito_operator.api.quantities import GIB, format_cpu
from kaito_operator.api.workspace import PresetOptions, PresetSpec, Workspace
from kaito_operator.planner.memory import MemoryNeed, memory_need
from kaito_operator.planner.timing import UNKNOWN_TIMING, Timing, WeightsWay, expected_timing
from kaito_operator.settings import RuntimeSettings
from presets.catalog import PROJECT_REGISTRY, Catalog, Dtype, Preset

PlanKind = Literal["preset", "template", "none"]
"""none: nothing to serve, as in a Workspace that tunes."""

CPU_DTYPE: Final[Dtype] = "float32"
"""CPUs without native 16-bit arithmetic are several times slower in the stored type."""

CPU_MODEL_MILLICORES: Final = 500
"""A choice: small enough for several pods on a laptop. Without a limit a pod takes what is idle."""

GPU_MODEL_MILLICORES: Final = 1000
"""For each GPU, one process feeds it from one core. An assumption; the smallest GPU machines have 4 cores."""

GPU_HOST_MEMORY_BYTES: Final = 4 * GIB
"""Main memory of a pod whose model is on GPUs: the CUDA libraries and one piece of a checkpoint on its way.
An assumption; the files themselves are page cache, which the kernel takes back."""

MAX_REPLICAS: Final = 1000
"""As in the CRD; v0.3.0 stored any number."""


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
        replicas: pods, each a whole server.
        dtype: type of the weights in memory.
        cpu_request: of one pod, as a Kubernetes quantity.
        memory_request_bytes: main memory of one pod.
        disk_bytes: of one node, for images and weights.
        memory: what the model needs where it runs; None where nothing is known of the model.
        weights_candidates: where the weights may come from, the preferred first.
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

    @property
    def weights(self) -> WeightsSource | None:
        """Where the weights come from; None when nothing is known, or a template brings its own."""
        return self.weights_candidates[0] if self.weights_candidates else None


def plan_workspace(workspace: Workspace, catalog: Catalog, runtime: RuntimeSettings) -> Plan:
    """The plan of any Workspace that can be read. Raises nothing.

    What cannot be served gets a plan that asks for nothing; `validate` says what is wrong with it.
    """
    count = workspace.resource.count if workspace.resource else 1
    replicas = min(max(count, 1), MAX_REPLICAS)
    inference = workspace.inference
    if inference is None:
        return Plan("none", replicas)
    if inference.template is not None:
        return Plan("template", replicas)
    if inference.preset is None:
        return Plan("none", replicas)
    row = catalog.get(inference.preset.name)
    if row is None:
        return Plan("preset", replicas, model_name=inference.preset.name)
    return _plan_preset(inference.preset, row, replicas, runtime)


def _plan_preset(spec: PresetSpec, row: Preset, replicas: int, runtime: RuntimeSettings) -> Plan:
    candidates = weights_candidates(spec.preset_options, row, runtime)
    dtype = row.dtype if row.gpus else CPU_DTYPE
    memory = memory_need(row, dtype)
    return Plan(
        kind="preset",
        replicas=replicas,
        preset=row,
        model_name=row.name,
        gpus_per_pod=row.gpus,
        dtype=dtype,
        trust_remote_code=spec.preset_options.trust_remote_code,
        cpu_request=format_cpu(row.gpus * GPU_MODEL_MILLICORES or CPU_MODEL_MILLICORES),
        memory_request_bytes=GPU_HOST_MEMORY_BYTES if row.gpus else memory.total_bytes,
        disk_bytes=row.disk_gib * GIB,
        memory=memory,
        weights_candidates=candidates,
        timing=expected_timing(
            row.weights.bytes,
            _WAYS[type(candidates[0])] if candidates else "image",
            gpu=row.gpus > 0,
            readiness_s=row.readiness_minutes * 60,
        ),
    )


_WAYS: Final[Mapping[type[WeightsSource], WeightsWay]] = MappingProxyType(
    {ImageWeights: "image", ClaimWeights: "volumeClaim", HubWeights: "hub"}
)


def weights_candidates(
    options: PresetOptions, row: Preset, runtime: RuntimeSettings
) -> tuple[WeightsSource, ...]:
    """Where the weights of a preset may come from: a volume that is named, else the image, else the hub.

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
    """The user's own image, or the row's; None where the registry that would hold it is not known."""
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
