"""What one node of an instance type really offers to a model: bytes, and types that its GPUs calculate in."""

from decimal import Decimal
from typing import Final

from kaito_operator.api.quantities import GIB, MIB
from presets.catalog import Dtype
from presets.instance_types import Accelerators, InstanceType

SMALL_GPU_GIB: Final = 32
"""GPUs below this carry GDDR memory and keep its error correction codes in it, one byte in sixteen; larger
ones are stacked memory with room of its own for them. Small ones of stacked memory exist and are older than
what the runtime image runs on; for them the smaller share is merely careful."""

SMALL_GPU_SHARE: Final = Decimal("0.91")
"""Of the nominal memory, what a program can allocate. The least that PyTorch told in out-of-memory messages
of public issues: T4 14.56 of 16 GiB (Zheng-Chong/CatVTON 133), A10 21.99 of 24 GiB (zai-org/CogVLM 236)."""

LARGE_GPU_SHARE: Final = Decimal("0.985")
"""The same: A100 39.50 of 40 GiB (TianheWu/CoSeR 10) and 79.14 of 80 (lianqi1008/Control-GIC 6), H100 93.00
of 94 (ali-vilab/VACE 56) and 79.11 of 80 (vllm-project/vllm 27508)."""

FIRST_GPU_WITH_BFLOAT16: Final = (8, 0)
"""Compute capability. Older GPUs emulate it, several times slower; inference_server draws the same line."""

NODE_MEMORY_SHARE: Final = Decimal("0.25")
NODE_MEMORY_MOST_BYTES: Final = (20 * 110 + 50) * 1000**2
NODE_EVICTION_BYTES: Final = 100 * MIB
"""AKS from 1.29 on keeps of a node's main memory the lesser of a quarter and 20 MB for each pod that it
admits (110, the most of its defaults) plus 50 MB, and evicts pods when 100 MiB are left (AKS documentation,
"Node resource reservations")."""

SYSTEM_PODS_BYTES: Final = 512 * MIB
"""For the cluster's own pods on each node: network, storage drivers, device plugin. An assumption."""


def gpu_bytes(accelerators: Accelerators) -> int:
    """Bytes of one GPU that a program can allocate.

    A T4 of 16 GiB: 14.56 GiB. An A100 of 80 GiB: 78.8 GiB.
    """
    small = accelerators.memory_gib < SMALL_GPU_GIB
    return int(accelerators.memory_gib * GIB * (SMALL_GPU_SHARE if small else LARGE_GPU_SHARE))


def node_bytes(row: InstanceType) -> int | None:
    """Bytes of a node's main memory that are left for a model's pods; None where its memory is not known.

    A node of 16 GiB: 13.3 GiB.
    """
    if row.memory_gib is None:
        return None
    total = int(row.memory_gib * GIB)
    reserved = min(int(total * NODE_MEMORY_SHARE), NODE_MEMORY_MOST_BYTES)
    return max(total - reserved - NODE_EVICTION_BYTES - SYSTEM_PODS_BYTES, 0)


def capability(text: str) -> tuple[int, int]:
    """NVIDIA's compute capability "8.6" as numbers that compare."""
    major, _, minor = text.partition(".")
    return int(major), int(minor)


def dtype_on(stored: Dtype, accelerators: Accelerators) -> Dtype:
    """The type that weights of type `stored` run in on this GPU.

    Where bfloat16 is not native, float16: as many bytes, and what the inference server itself takes on such
    a GPU. Its numbers end at 65,504, which a model trained in bfloat16 can exceed; the plan warns of it.
    """
    own = accelerators.compute_capability
    native = stored != "bfloat16" or own is None or capability(own) >= FIRST_GPU_WITH_BFLOAT16
    return stored if native else "float16"


def format_gib_down(amount: int) -> str:
    """What there is, for a sentence, to a tenth of a GiB and rounded down: "14.5 GiB".

    `format_gib` rounds up: so what is needed never looks as if it fitted into what there is.
    """
    tenths = amount * 10 // GIB
    return f"{tenths // 10}.{tenths % 10} GiB"
