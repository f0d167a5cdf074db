"""The type of the weights, the progress of a load, and what is still a file; without the libraries."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_server.engine import Phase
from inference_server.errors import OptionsInvalid
from inference_server.options import Dtype, Quantization, ServerOptions
from inference_server.transformers_engine.dtypes import Speeds, dtype_on_cpu, dtype_on_gpu
from inference_server.transformers_engine.folder import WeightFiles
from inference_server.transformers_engine.mapped import inside, mapped_ranges
from inference_server.transformers_engine.progress import Progress, shares
from inference_server.transformers_engine.quantize import quantization

BFLOAT16_CPU = "flags : avx512_bf16"
OLD_CPU = "flags : avx2"
FASTER = Speeds(float32=(4.0, 8.0), bfloat16=(2.0, 2.0))
SLOWER = Speeds(float32=(1.0, 1.0), bfloat16=(0.9, 3.0))


@pytest.mark.parametrize(
    ("capability", "stored", "dtype"),
    [
        ((9, 0), {"BF16"}, "bfloat16"),
        ((8, 0), {"F16"}, "bfloat16"),
        ((7, 5), {"F16"}, "float16"),
        ((7, 5), {"BF16"}, "float32"),
        ((7, 0), {"F16", "F32"}, "float32"),
        ((7, 5), set(), "float32"),
    ],
)
def test_auto_on_a_gpu_takes_what_it_computes_in_and_the_numbers_fit(
    capability: tuple[int, int], stored: set[str], dtype: Dtype
) -> None:
    found = dtype_on_gpu("auto", capability, stored)
    assert found.dtype == dtype
    assert bool(found.note) is (capability < (8, 0))
    assert dtype_on_gpu("float16", capability, stored).dtype == "float16"


CPUS: list[tuple[str, Speeds | None, bool, Dtype, str]] = [
    (BFLOAT16_CPU, FASTER, True, "bfloat16", "2.8 times"),
    (BFLOAT16_CPU, SLOWER, True, "float32", "0.6 times"),
    (OLD_CPU, None, True, "float32", "no instructions"),
    (OLD_CPU, None, False, "bfloat16", "do not fit the memory"),
    (BFLOAT16_CPU, None, False, "bfloat16", "do not fit the memory"),
]


@pytest.mark.parametrize(("cpuinfo", "speeds", "fits", "dtype", "said"), CPUS)
def test_auto_on_a_cpu_takes_what_is_measured_to_be_faster(
    cpuinfo: str, speeds: Speeds | None, fits: bool, dtype: Dtype, said: str
) -> None:
    def measure() -> Speeds:
        assert speeds is not None, "there was nothing to measure"
        return speeds

    found = dtype_on_cpu("auto", cpuinfo, measure, lambda: fits)
    assert found.dtype == dtype
    assert said in found.note


def test_a_type_that_is_asked_for_is_taken_without_a_measurement() -> None:
    def never() -> Speeds:
        raise AssertionError

    assert dtype_on_cpu("float16", BFLOAT16_CPU, never, lambda: False).dtype == "float16"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def watched(total: float) -> tuple[Progress, list[float], Clock]:
    seen: list[float] = []
    clock = Clock()

    def report(phase: Phase, done: float | None = None) -> None:
        assert phase is Phase.WEIGHTS
        assert done is not None
        seen.append(done)

    return Progress(report, total, clock), seen, clock


def test_progress_is_reported_about_twice_a_second_and_at_the_end() -> None:
    progress, seen, clock = watched(100)
    for _ in range(100):
        clock.now += 0.125
        progress.add(1)
    assert len(seen) == 25
    assert seen[-1] == 1.0
    progress.add(5)
    progress.finish()
    assert len(seen) == 25


def test_what_was_not_counted_is_done_at_the_end() -> None:
    progress, seen, _ = watched(100)
    progress.add(30)
    progress.finish()
    assert seen == [1.0]


@given(st.lists(st.floats(0, 50), max_size=20))
def test_progress_never_goes_back_nor_above_1(amounts: list[float]) -> None:
    progress, seen, clock = watched(100)
    for amount in amounts:
        clock.now += 1
        progress.add(amount)
    progress.finish()
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_every_tenth_of_a_load_is_a_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    progress, _, clock = watched(1000)
    with caplog.at_level(logging.INFO):
        for _ in range(1000):
            clock.now += 0.01
            progress.add(1)
    told = [record.__dict__["percent"] for record in caplog.records]
    assert told == [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]
    assert caplog.records[4].__dict__["seconds"] == pytest.approx(5.0, abs=0.1)


def test_one_large_tensor_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    progress, _, _ = watched(100)
    with caplog.at_level(logging.INFO):
        progress.add(57)
        progress.finish()
    assert [record.__dict__["percent"] for record in caplog.records] == [50, 100]


THREE = {"a": 30, "b": 40, "c": 30}
SHARES = [
    ("all are known", ["a", "b"], {"a": 30, "b": 70}, set(), {"a": 30.0, "b": 70.0}),
    ("mapped ones count later", ["a", "b"], {"a": 30, "b": 70}, {"b"}, {"a": 30.0, "b": 0.0}),
    ("merged ones share the rest", ["a", "x", "y"], THREE, set(), {"a": 30.0, "x": 35.0, "y": 35.0}),
    ("nothing is known", ["x", "y"], {}, set(), {"x": 50.0, "y": 50.0}),
    ("no tensors", [], {}, set(), {}),
]


@pytest.mark.parametrize(("name", "names", "sizes", "mapped", "expected"), SHARES, ids=[r[0] for r in SHARES])
def test_each_tensor_counts_its_bytes(
    name: str, names: list[str], sizes: dict[str, int], mapped: set[str], expected: dict[str, float]
) -> None:
    assert shares(names, sizes, mapped, 100.0) == expected


MAPS = """\
7f0000001000-7f0000003000 r--s 00000000 00:2b 12  /mnt/weights/model.safetensors
7f0000005000-7f0000006000 rw-p 00000000 00:00 0
7f0000008000-7f0000009000 r--p 00000000 00:2b 13  /usr/lib/libtorch cpu.so
7f000000a000-7f000000b000 rw-p 00000000 00:00 0   [heap]
"""


@pytest.mark.parametrize(
    ("address", "expected"),
    [(0x7F0000000FFF, False), (0x7F0000001000, True), (0x7F0000002FFF, True), (0x7F0000003000, False),
     (0x7F0000008001, False), (0, False)],
)  # fmt: skip
def test_what_lies_in_a_mapped_file_is_told_from_memory(address: int, expected: bool) -> None:
    ranges = mapped_ranges(MAPS, {"/mnt/weights/model.safetensors"})
    assert inside(address, ranges) is expected


def test_a_file_with_a_space_in_its_name_is_found() -> None:
    assert mapped_ranges(MAPS, {"/usr/lib/libtorch cpu.so"}) == [(0x7F0000008000, 0x7F0000009000)]
    assert mapped_ranges("", {"/x"}) == []
    assert not inside(5, [])


def files(form: str) -> WeightFiles:
    return WeightFiles(Path("/w"), form, ())  # type: ignore[arg-type] # one of its words


REFUSED: list[tuple[str, Callable[[], object], str]] = [
    ("int8 on a CPU", lambda: asked("8bit"), "no int8 on a CPU; use --quantization 4bit"),
    ("a group", lambda: asked("4bit", world_size=3), "divided among processes"),
    ("GGUF", lambda: quantization(options("4bit"), files("gguf"), "bfloat16", gpus=0), "quantized already"),
]


def options(wanted: Quantization, world_size: int = 1, simulated: bool = False) -> ServerOptions:
    return ServerOptions(quantization=wanted, world_size=world_size, simulated_gpus=simulated)


def asked(wanted: Quantization, world_size: int = 1, simulated: bool = False) -> tuple[dict[str, Any], str]:
    return quantization(options(wanted, world_size, simulated), files("safetensors"), "bfloat16", gpus=0)


@pytest.mark.parametrize(("name", "ask", "said"), REFUSED, ids=[row[0] for row in REFUSED])
def test_a_quantization_that_cannot_be_had_is_refused_with_the_next_action(
    name: str, ask: Callable[[], object], said: str
) -> None:
    with pytest.raises(OptionsInvalid, match=said):
        ask()


def test_nothing_is_quantized_unasked_nor_8bit_on_gpus_that_do_not_exist() -> None:
    assert asked("none") == ({}, "")
    assert asked("8bit", simulated=True)[0] == {}
    assert "simulated" in asked("8bit", simulated=True)[1]
