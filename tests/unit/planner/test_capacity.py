"""What a node offers: never more than what was seen, and types that its GPUs calculate in."""

from decimal import Decimal

import pytest

from kaito_operator.api.quantities import GIB
from kaito_operator.planner.capacity import capability, dtype_on, format_gib_down, gpu_bytes, node_bytes
from presets.catalog import Dtype
from presets.instance_types import Accelerators, InstanceType


def gpus(memory_gib: int, compute_capability: str | None = "8.0") -> Accelerators:
    return Accelerators(
        model="G", count=1, memory_gib=Decimal(memory_gib), compute_capability=compute_capability
    )


# nominal GiB, GiB that PyTorch tells of such a GPU in public issues
SEEN = [(16, 14.56), (24, 21.99), (40, 39.50), (80, 79.14), (80, 79.11), (94, 93.00), (141, 139.72)]


@pytest.mark.parametrize(("nominal", "seen"), SEEN)
def test_a_gpu_is_never_planned_for_more_than_was_seen_of_one(nominal: int, seen: float) -> None:
    assert 0.98 * seen <= gpu_bytes(gpus(nominal)) / GIB <= seen


def test_a_node_keeps_memory_for_its_system() -> None:
    row = InstanceType(name="n", provider="azure", memory_gib=Decimal(16), sources=("x",))
    usable = node_bytes(row)
    assert usable is not None
    assert 13 * GIB < usable < 14 * GIB


def test_a_tiny_node_keeps_at_most_a_quarter_and_the_fixed_parts() -> None:
    row = InstanceType(name="n", provider="azure", memory_gib=Decimal("0.5"), sources=("x",))
    assert node_bytes(row) == 0


def test_a_node_whose_memory_is_not_known_offers_nobody_knows_what() -> None:
    assert node_bytes(InstanceType(name="n", provider="azure", sources=("x",))) is None


@pytest.mark.parametrize(
    ("stored", "own", "expected"),
    [
        ("bfloat16", "7.5", "float16"),
        ("bfloat16", "8.0", "bfloat16"),
        ("bfloat16", "12.0", "bfloat16"),
        ("bfloat16", None, "bfloat16"),
        ("float16", "7.0", "float16"),
        ("float32", "7.5", "float32"),
    ],
)
def test_a_gpu_without_bfloat16_runs_float16(stored: Dtype, own: str | None, expected: Dtype) -> None:
    assert dtype_on(stored, gpus(16, own)) == expected


def test_capabilities_compare_as_numbers() -> None:
    assert capability("12.0") > capability("9.0") > capability("8.9") > capability("7.5")


def test_what_there_is_is_rounded_down() -> None:
    assert format_gib_down(int(14.5999 * GIB)) == "14.5 GiB"
