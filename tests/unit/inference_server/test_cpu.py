"""Facts read from the text of /proc and of the cgroup."""

import pytest

from inference_server.cpu import (
    CpuTimes,
    cpu_times,
    has_bfloat16,
    load_percent,
    memory_bytes,
    physical_cores,
    quota_cores,
)

CPUINFO = """processor\t: 0
physical id\t: 0
core id\t\t: 0
flags\t\t: fpu sse avx512f {flag}

processor\t: 1
physical id\t: 0
core id\t\t: 0
flags\t\t: fpu sse avx512f {flag}

processor\t: 2
physical id\t: 1
core id\t\t: 0
"""


@pytest.mark.parametrize(
    ("flag", "found"), [("avx512_bf16", True), ("amx_bf16", True), ("avx2", False), ("bf16x", False)]
)
def test_bfloat16_is_known_by_the_processors_flags(flag: str, found: bool) -> None:
    assert has_bfloat16(CPUINFO.format(flag=flag)) is found


def test_threads_of_one_core_are_counted_once() -> None:
    assert physical_cores(CPUINFO.format(flag="")) == 2
    assert physical_cores("") is None


@pytest.mark.parametrize(
    ("text", "cores"), [("200000 100000\n", 2), ("50000 100000\n", 1), ("max 100000\n", None), ("", None)]
)
def test_the_cgroups_quota_is_read_as_cores(text: str, cores: int | None) -> None:
    assert quota_cores(text) == cores


def test_the_load_is_the_busy_share_between_two_readings() -> None:
    before = cpu_times("cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 1 1 1 1\n")
    assert before == CpuTimes(busy=200, total=1000)
    assert load_percent(before, CpuTimes(busy=250, total=1200)) == 25.0
    assert load_percent(None, before) == 0.0
    assert load_percent(before, before) == 0.0


def test_memory_in_use_is_what_is_not_available() -> None:
    meminfo = "MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable: 400 kB\n"
    assert memory_bytes(meminfo) == (600 * 1024, 1000 * 1024)
