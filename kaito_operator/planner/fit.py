"""Whether a model fits one instance type, and in which shape.

One replica on several GPUs of one node is dealt out by whole layers, since the inference server loads it with
a device map. A group over several nodes is cut by tensors over all of its GPUs.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from kaito_operator.api.quantities import format_gib
from kaito_operator.planner.capacity import capability, dtype_on, format_gib_down, gpu_bytes, node_bytes
from kaito_operator.planner.memory import PLANNED, MemoryNeed, Sizing, memory_need, need_of_fullest_gpu
from presets.catalog import Dtype, Preset
from presets.instance_types import Accelerators, InstanceType

CPU_DTYPE: Final[Dtype] = "float32"
"""CPUs without native 16-bit arithmetic are several times slower in the stored type."""

Cause = Literal["memory", "worldSize", "tooOld", "retired", "noGpu"]


@dataclass(frozen=True)
class Placement:
    """A preset on nodes of one instance type.

    Attributes:
        nodes: of the Workspace, each with a whole replica; or of its one group.
        gpus_per_pod: that a pod asks for; 0 runs on the CPU.
        gpus_per_node: that the type has.
        world_size: GPUs that hold the model once; 0 on the CPU.
        tensor_parallel: parts that every matrix is cut into.
        pipeline_parallel: GPUs that whole layers are dealt out to.
        dtype: of the weights in memory.
        memory: that one replica or group needs in all.
        memory_per_gpu: its part on the fullest GPU; on the CPU the same as `memory`.
        usable_bytes_per_gpu: that a program can allocate; on the CPU, of a node's main memory.
        needed_bytes_per_gpu: on the fullest GPU; on the CPU, of main memory.
        price_usd_per_hour: of all nodes; None where no price is known.
        price_source: region and day of that price.
    """

    instance_type: str
    nodes: int
    gpus_per_pod: int
    gpus_per_node: int
    world_size: int
    tensor_parallel: int
    pipeline_parallel: int
    dtype: Dtype
    memory: MemoryNeed
    memory_per_gpu: MemoryNeed
    usable_bytes_per_gpu: int
    needed_bytes_per_gpu: int
    price_usd_per_hour: Decimal | None
    price_source: str | None


@dataclass(frozen=True)
class Rejection:
    """A type that was looked at and is not taken, and why, in numbers.

    Attributes:
        share: what the type has of what is needed, from 0 to 1; 0 where memory is not the cause.
    """

    instance_type: str
    reason: str
    cause: Cause
    share: float = 0.0


@dataclass(frozen=True)
class Wanted:
    """What a Workspace asks of the table.

    Attributes:
        nodes: resource.count.
        oldest_gpu: compute capability of the oldest GPU that the runtime image runs on.
        named: the type that is asked for, in the table's spelling; None to choose one.
        sizing: what memory is to hold.
    """

    nodes: int
    oldest_gpu: str
    named: str | None = None
    sizing: Sizing = PLANNED


def look_at(preset: Preset, row: InstanceType, wanted: Wanted) -> Placement | Rejection:
    """The preset on this type: where it fits, or why not. Raises nothing."""
    if row.retired and row.name != wanted.named:
        return _rejected_retired(row)
    if row.accelerators is None or not row.gpus:
        return _on_cpu(preset, row, wanted)
    gpu, own = row.accelerators.model, row.accelerators.compute_capability
    if own is not None and capability(own) < capability(wanted.oldest_gpu):
        reason = f"{gpu} has compute capability {own}, the runtime image needs {wanted.oldest_gpu}"
        return Rejection(row.name, reason, "tooOld")
    if preset.distributed and wanted.nodes > 1:
        return _as_group(preset, row, row.accelerators, wanted)
    return _on_gpus(preset, row, row.accelerators, wanted)


def _rejected_retired(row: InstanceType) -> Rejection:
    instead = f"; {row.successor} took its place" if row.successor else ""
    return Rejection(row.name, f"retired on {row.retired}{instead}", "retired")


def _on_cpu(preset: Preset, row: InstanceType, wanted: Wanted) -> Placement | Rejection:
    """A whole replica in each node's main memory."""
    if preset.gpus:
        found = f"{row.accelerators.model}, which our images cannot use" if row.accelerators else "none"
        return Rejection(row.name, f"needs an NVIDIA GPU, has {found}", "noGpu")
    need = memory_need(preset, CPU_DTYPE, wanted.sizing, gpus=0)
    usable = node_bytes(row)
    if usable is None:
        return Rejection(row.name, f"needs {format_gib(need.total_bytes)}, its memory is not known", "memory")
    return _verdict(row, wanted, _Share(0, 1, 1, need, usable), CPU_DTYPE, need)


def _on_gpus(
    preset: Preset, row: InstanceType, accelerators: Accelerators, wanted: Wanted
) -> Placement | Rejection:
    """A whole replica on the fewest GPUs of a node that hold it."""
    dtype, usable = dtype_on(preset.dtype, accelerators), gpu_bytes(accelerators)
    most = min(accelerators.count, preset.architecture.layers)
    for gpus in range(1, most + 1):
        need = memory_need(preset, dtype, wanted.sizing, gpus=gpus)
        part = need_of_fullest_gpu(need, preset.architecture, gpus, tensor=False)
        if part.total_bytes <= usable or gpus == most:
            return _verdict(row, wanted, _Share(gpus, 1, gpus, part, usable), dtype, need)
    raise AssertionError(f"{preset.name} has no layer")  # its row is refused before


def _as_group(
    preset: Preset, row: InstanceType, accelerators: Accelerators, wanted: Wanted
) -> Placement | Rejection:
    """One replica over all GPUs of all nodes."""
    world = wanted.nodes * accelerators.count
    heads, kv_heads = preset.architecture.attention_heads, preset.architecture.kv_heads
    if heads % world or kv_heads % world:
        reason = f"{world} GPUs do not divide {heads} attention and {kv_heads} key-value heads"
        return Rejection(row.name, reason, "worldSize")
    dtype, usable = dtype_on(preset.dtype, accelerators), gpu_bytes(accelerators)
    need = memory_need(preset, dtype, wanted.sizing, gpus=world)
    part = need_of_fullest_gpu(need, preset.architecture, world, tensor=True)
    return _verdict(row, wanted, _Share(accelerators.count, world, 1, part, usable), dtype, need)


@dataclass(frozen=True)
class _Share:
    """What a pod asks for, how the model is divided, and what one GPU, or the main memory, is to hold."""

    gpus_per_pod: int
    tensor_parallel: int
    pipeline_parallel: int
    part: MemoryNeed
    usable_bytes: int

    @property
    def world_size(self) -> int:
        return self.tensor_parallel * self.pipeline_parallel if self.gpus_per_pod else 0

    @property
    def where(self) -> str:
        if self.world_size > 1:
            return f"per GPU on {self.world_size} GPUs"
        return "on 1 GPU" if self.world_size else "of main memory"


def _verdict(
    row: InstanceType, wanted: Wanted, share: _Share, dtype: Dtype, need: MemoryNeed
) -> Placement | Rejection:
    needed = share.part.total_bytes
    if needed > share.usable_bytes:
        reason = f"needs {format_gib(needed)} {share.where}, has {format_gib_down(share.usable_bytes)}"
        return Rejection(row.name, reason, "memory", share.usable_bytes / needed)
    return Placement(
        instance_type=row.name,
        nodes=wanted.nodes,
        gpus_per_pod=share.gpus_per_pod,
        gpus_per_node=row.gpus,
        world_size=share.world_size,
        tensor_parallel=share.tensor_parallel,
        pipeline_parallel=share.pipeline_parallel,
        dtype=dtype,
        memory=need,
        memory_per_gpu=share.part,
        usable_bytes_per_gpu=share.usable_bytes,
        needed_bytes_per_gpu=needed,
        price_usd_per_hour=row.price.usd_per_hour * wanted.nodes if row.price else None,
        price_source=f"{row.price.region}, {row.price.date}" if row.price else None,
    )
