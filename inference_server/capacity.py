"""How many tokens of keys and values the memory holds, once the weights are in it."""

from __future__ import annotations

from inference_server import cpu

_MIB = 1024**2
# What else needs memory while serving: intermediate results, adapters that come later, the allocator's gaps.
_GPU_SHARE, _GPU_HEADROOM = 0.85, 768 * _MIB
_CPU_SHARE, _CPU_HEADROOM = 0.6, 256 * _MIB
_ADAPTERS_SHARE = 0.05  # of the weights, kept free for adapters
LEAST_TOKENS = 64  # with less nothing sensible can be answered


def kv_tokens(free_bytes: int, weights_bytes: int, bytes_per_token: int, *, gpu: bool) -> int:
    """Return how many tokens may be kept.

    Args:
        free_bytes: what is free, on the fullest device.
        weights_bytes: of the model on that device.
        bytes_per_token: keys and values of one token in all layers of that device.
        gpu: whether the device is one.
    """
    share, headroom = (_GPU_SHARE, _GPU_HEADROOM) if gpu else (_CPU_SHARE, _CPU_HEADROOM)
    usable = int((free_bytes - headroom - _ADAPTERS_SHARE * weights_bytes) * share)
    return max(usable // max(bytes_per_token, 1), 0)


def free_memory() -> int:
    """Return how many bytes this process may still take, by the machine and by its cgroup."""
    used, total = cpu.memory_bytes(cpu.read_text("/proc/meminfo"))
    free = [total - used]
    limit = cpu.memory_limit(cpu.read_text("/sys/fs/cgroup/memory.max"))
    if limit is not None:
        current = cpu.memory_limit(cpu.read_text("/sys/fs/cgroup/memory.current")) or 0
        free.append(limit - current + cpu.reclaimable(cpu.read_text("/sys/fs/cgroup/memory.stat")))
    old = "/sys/fs/cgroup/memory"  # cgroup v1
    limit = cpu.memory_limit(cpu.read_text(f"{old}/memory.limit_in_bytes"))
    if limit is not None:
        current = cpu.memory_limit(cpu.read_text(f"{old}/memory.usage_in_bytes")) or 0
        free.append(limit - current + cpu.reclaimable(cpu.read_text(f"{old}/memory.stat")))
    return max(min(free), 0)
