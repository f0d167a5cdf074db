"""Placement on types made for the purpose: what fits, how, in which order, and why others do not."""

from decimal import Decimal
from typing import Any

import pytest

from kaito_operator.planner.memory import Sizing
from kaito_operator.planner.placement import Places, Wanted, find_places, smallest
from presets.catalog import load_catalog
from presets.instance_types import InstanceType, InstanceTypes

CATALOG = load_catalog()
BIG, GROUP, SMALL = "mistral-7b", "llama-2-70b", "smollm2-135m-instruct"


def a_type(
    name: str, gpus: int = 1, gpu_gib: int = 80, usd: str | None = "1", cc: str = "8.0", **more: Any
) -> InstanceType:
    fields = {
        "name": name,
        "provider": "azure",
        "accelerators": {"model": "G", "count": gpus, "memory_gib": gpu_gib, "compute_capability": cc},
        "price": {"usd_per_hour": usd, "region": "r", "date": "2026-01-01"} if usd else None,
        "sources": ["x"],
    }
    return InstanceType.model_validate({**fields, **more})


def a_cpu_type(name: str, memory_gib: int | None = 16) -> InstanceType:
    return a_type(name, accelerators=None, memory_gib=memory_gib)


def look(
    preset: str, *types: InstanceType, nodes: int = 1, named: str | None = None, sizing: Sizing | None = None
) -> Places:
    wanted = Wanted(nodes, "7.5", named, sizing or Sizing())
    return find_places(CATALOG[preset], InstanceTypes(types), wanted)


def names(places: Places) -> list[str]:
    return [fit.instance_type for fit in places.fitting]


def reasons(places: Places) -> dict[str, str]:
    return {rejection.instance_type: rejection.reason for rejection in places.rejected}


# Shapes.


def test_a_replica_takes_the_fewest_gpus_that_hold_it_and_its_layers_are_dealt_out() -> None:
    (fit,) = look(BIG, a_type("t", gpus=4, gpu_gib=16)).fitting
    assert (fit.gpus_per_pod, fit.gpus_per_node, fit.world_size) == (2, 4, 2)
    assert (fit.tensor_parallel, fit.pipeline_parallel) == (1, 2)
    assert fit.needed_bytes_per_gpu <= fit.usable_bytes_per_gpu


def test_the_number_of_gpus_need_be_no_power_of_two() -> None:
    (fit,) = look("llama-2-13b", a_type("t", gpus=4, gpu_gib=16)).fitting
    assert fit.gpus_per_pod == 3


def test_several_nodes_of_an_ordinary_preset_are_whole_replicas() -> None:
    one, three = (look(BIG, a_type("t", gpu_gib=40), nodes=n).fitting[0] for n in (1, 3))
    assert (three.nodes, three.gpus_per_pod, three.memory) == (3, 1, one.memory)
    assert three.price_usd_per_hour == Decimal(3)


def test_a_group_takes_all_gpus_of_its_nodes_and_cuts_every_matrix() -> None:
    (fit,) = look(GROUP, a_type("t", gpus=4), nodes=2).fitting
    assert (fit.gpus_per_pod, fit.world_size) == (4, 8)
    assert (fit.tensor_parallel, fit.pipeline_parallel) == (8, 1)


def test_a_distributed_preset_on_one_node_is_one_ordinary_replica() -> None:
    (fit,) = look(GROUP, a_type("t", gpus=4)).fitting
    assert (fit.gpus_per_pod, fit.tensor_parallel, fit.pipeline_parallel) == (2, 1, 2)


def test_a_group_has_to_divide_the_heads() -> None:
    places = look(GROUP, a_type("t", gpus=4), nodes=3)
    assert reasons(places) == {"t": "12 GPUs do not divide 64 attention and 8 key-value heads"}


def test_a_small_preset_runs_on_a_cpu_type_and_on_one_gpu_of_another() -> None:
    cpu, gpu = look(SMALL, a_cpu_type("c"), a_type("g", gpus=2, usd="2")).fitting
    assert (cpu.instance_type, cpu.gpus_per_pod, cpu.world_size, cpu.dtype) == ("c", 0, 0, "float32")
    assert (gpu.instance_type, gpu.gpus_per_pod, gpu.world_size, gpu.dtype) == ("g", 1, 1, "bfloat16")


def test_an_old_gpu_runs_the_weights_in_float16_and_the_user_is_told() -> None:
    places = look("phi-3-mini-4k-instruct", a_type("t4", gpu_gib=16, cc="7.5"))
    assert places.fitting[0].dtype == "float16"
    assert "t4 do not calculate in bfloat16" in places.warnings[0]
    assert look("phi-2", a_type("t4", gpu_gib=16, cc="7.5")).warnings == ()


# Why not.


def test_a_rejection_tells_need_and_capacity_in_numbers() -> None:
    told = reasons(look("llama-2-13b", a_type("one", gpu_gib=16), a_type("two", gpus=2, gpu_gib=16)))
    assert told["one"] == "needs 31.3 GiB on 1 GPU, has 14.5 GiB"
    assert told["two"] == "needs 17.6 GiB per GPU on 2 GPUs, has 14.5 GiB"


def test_a_gpu_sized_preset_fits_no_type_without_nvidia_gpus() -> None:
    amd = {"model": "V", "vendor": "amd", "count": 1, "memory_gib": 32}
    told = reasons(look("phi-2", a_cpu_type("c"), a_type("a", accelerators=amd)))
    assert told == {
        "c": "needs an NVIDIA GPU, has none",
        "a": "needs an NVIDIA GPU, has V, which our images cannot use",
    }


def test_a_cpu_type_has_to_hold_the_model_beside_its_system() -> None:
    told = reasons(look(SMALL, a_cpu_type("fits", 8), a_cpu_type("small", 3), a_cpu_type("unknown", None)))
    assert told == {
        "small": "needs 2.4 GiB of main memory, has 1.6 GiB",
        "unknown": "needs 2.4 GiB, its memory is not known",
    }


def test_an_older_gpu_than_the_images_and_a_retired_type_are_never_chosen() -> None:
    old = a_type("old", cc="7.0")
    gone = a_type("gone", retired="2020-01-01", successor="new")
    future = a_type("future", retired="2099-01-01")
    places = look("phi-2", old, gone, future, a_type("new", usd="9"))
    assert names(places) == ["new"]
    assert reasons(places) == {
        "old": "G has compute capability 7.0, the runtime image needs 7.5",
        "gone": "retired on 2020-01-01; new took its place",
        "future": "retired on 2099-01-01",
    }


def test_the_nearest_rejection_is_told_first() -> None:
    types = (
        a_type("retired", retired="2020-01-01"),
        a_type("old", cc="6.0"),
        a_cpu_type("cpu"),
        a_type("far", gpu_gib=4),
        a_type("near", gpu_gib=16),
    )
    told = [rejection.instance_type for rejection in look(BIG, *types).rejected]
    assert told == ["near", "far", "old", "retired", "cpu"]


# Order.


def test_the_cheapest_comes_first_and_what_has_no_price_last_by_memory_and_name() -> None:
    types = (
        a_type("unpriced-large", gpus=8, usd=None),
        a_type("unpriced-b", usd=None),
        a_type("unpriced-a", usd=None),
        a_type("dear", usd="9"),
        a_type("cheap", gpus=8, usd="0.5"),
    )
    assert names(look("phi-2", *types)) == ["cheap", "dear", "unpriced-a", "unpriced-b", "unpriced-large"]


def test_a_named_type_comes_first_whatever_it_costs() -> None:
    assert names(look("phi-2", a_type("dear", usd="9"), a_type("cheap"), named="dear")) == ["dear", "cheap"]


def test_a_named_type_comes_first_even_without_a_price() -> None:
    assert names(look("phi-2", a_type("cheap"), a_type("unpriced", usd=None), named="unpriced")) == [
        "unpriced",
        "cheap",
    ]


def test_a_retired_type_that_is_named_is_looked_at_with_a_warning() -> None:
    gone = a_type("gone", retired="2020-01-01", successor="new")
    places = look("phi-2", gone, a_type("new"), named="gone")
    assert names(places) == ["gone", "new"]
    assert places.warnings == (
        "gone was retired by its cloud on 2020-01-01: no new node comes; new took its place.",
    )


def test_types_of_another_cloud_are_looked_at_only_when_one_is_named() -> None:
    types = (a_type("az"), a_type("aws-1", provider="aws"), a_type("aws-2", provider="aws", usd="2"))
    assert names(look("phi-2", *types)) == ["az"]
    assert names(look("phi-2", *types, named="aws-2")) == ["aws-2", "aws-1"]


def test_the_smallest_type_is_that_with_the_least_gpu_memory() -> None:
    types = (a_type("large", gpus=8, usd="1"), a_type("small", gpu_gib=16, usd="5"))
    least = smallest(look("phi-2", *types), InstanceTypes(types))
    assert least is not None
    assert least.instance_type == "small"
    assert smallest(look("phi-2", a_cpu_type("c")), InstanceTypes((a_cpu_type("c"),))) is None


# Sizing.


@pytest.mark.parametrize(
    ("sizing", "fits"),
    [
        (Sizing(), True),
        (Sizing(context_tokens=16_384), False),
        (Sizing(sequences=2), False),
        (Sizing(context_tokens=2048, sequences=2), True),
        (Sizing(sequences=2, quantization="4bit"), True),
    ],
)
def test_context_sequences_and_quantization_decide_as_well(sizing: Sizing, fits: bool) -> None:
    places = look("phi-3-mini-128k-instruct", a_type("t", gpu_gib=16), sizing=sizing)
    assert names(places) == (["t"] if fits else [])


def test_equal_questions_are_worked_out_once() -> None:
    types = InstanceTypes((a_type("t"),))
    preset = CATALOG["phi-2"]
    assert find_places(preset, types, Wanted(1, "7.5")) is find_places(preset, types, Wanted(1, "7.5"))


def test_a_table_of_its_own_is_looked_at_anew() -> None:
    few = look("phi-2", a_type("t"))
    more = look("phi-2", a_type("t"), a_type("u"))
    assert (names(few), names(more)) == (["t"], ["t", "u"])
