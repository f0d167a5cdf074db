"""Facts about the processor and the memory, read from /proc and the cgroup. Linux only; elsewhere unknown."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

# Instructions that multiply bfloat16 directly. Without one, float32 is both faster and exact.
_BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})


@dataclass(frozen=True)
class CpuTimes:
    """Jiffies since boot, of all processors together."""

    busy: int
    total: int


def has_bfloat16(cpuinfo: str) -> bool:
    """Say whether the processor multiplies bfloat16, from the text of /proc/cpuinfo (x86 or Arm)."""
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return not _BFLOAT16_FLAGS.isdisjoint(value.split())
    return False


def physical_cores(cpuinfo: str) -> int | None:
    """Count the distinct (socket, core) pairs of /proc/cpuinfo; None where it names none."""
    pairs: set[tuple[str, str]] = set()
    socket = "0"
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "physical id":
            socket = value.strip()
        elif key.strip() == "core id":
            pairs.add((socket, value.strip()))
    return len(pairs) or None


def quota_cores(cpu_max: str) -> int | None:
    """Read the cgroup's cpu.max ("quota period" in microseconds, or "max period") as cores, at least 1."""
    quota, _, period = cpu_max.strip().partition(" ")
    if not quota.isdigit() or not period.isdigit():
        return None
    return max(1, math.ceil(int(quota) / int(period)))


def usable_cores() -> int:
    """Return how many cores this process may use.

    The cgroup's quota counts: torch would otherwise start a thread for each core of the node, and in a pod
    with 2 of 64 cores the threads would mostly wait for each other.
    """
    affinity = len(os.sched_getaffinity(0))
    quota = quota_cores(read_text("/sys/fs/cgroup/cpu.max"))
    return min(affinity, quota) if quota else affinity


def cpu_times(stat: str) -> CpuTimes | None:
    """Read the first line of /proc/stat: user nice system idle iowait irq softirq steal ..."""
    line = stat.partition("\n")[0].split()
    if len(line) < 6 or line[0] != "cpu":
        return None
    jiffies = [int(value) for value in line[1:9]]
    return CpuTimes(busy=sum(jiffies) - jiffies[3] - jiffies[4], total=sum(jiffies))


def load_percent(before: CpuTimes | None, now: CpuTimes | None) -> float:
    """Return the share of busy time between two readings, 0 to 100; 0 where there are not two."""
    if before is None or now is None or now.total <= before.total:
        return 0.0
    return round(100 * (now.busy - before.busy) / (now.total - before.total), 2)


def memory_bytes(meminfo: str) -> tuple[int, int]:
    """Return (used, total) of /proc/meminfo, which counts KiB; used is what is not available."""
    kibibytes = {}
    for line in meminfo.splitlines():
        key, _, value = line.partition(":")
        if value.split():
            kibibytes[key] = int(value.split()[0])
    total = kibibytes.get("MemTotal", 0)
    return (total - kibibytes.get("MemAvailable", total)) * 1024, total * 1024


def read_text(path: str) -> str:
    """Return the text of a file of /proc or /sys, empty where it cannot be read."""
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def memory_limit(text: str) -> int | None:
    """Read one number of bytes from a file of the memory cgroup; None where it says "max" or is not there."""
    stripped = text.strip()
    return int(stripped) if stripped.isdigit() else None


def reclaimable(memory_stat: str) -> int:
    """Return the bytes of cached files in a cgroup's memory.stat: they count as used and go when needed."""
    fields = dict(line.split(maxsplit=1) for line in memory_stat.splitlines() if " " in line)
    value = fields.get("total_inactive_file") or fields.get("inactive_file") or "0"
    return int(value) if value.isdigit() else 0
