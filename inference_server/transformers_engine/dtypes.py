"""In which type the weights are held and multiplied: by the device, by what is stored, by measuring."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from inference_server import cpu
from inference_server.options import Dtype

_FIRST_GPU_WITH_BFLOAT16 = (8, 0)  # compute capability; older ones emulate it, slowly
_ROWS = (1, 8)  # answers that are generated together: one, and several
_LARGEST_MATRIX = 4 * 1024**2  # numbers; larger ones only measure for longer
_REPETITIONS = 4


@dataclass(frozen=True)
class Speeds:
    """Seconds of one multiplication by a matrix of the model's width, by rows, on one thread."""

    float32: tuple[float, ...]
    bfloat16: tuple[float, ...]

    @property
    def gain(self) -> float:
        """Return how many times as fast bfloat16 is: the geometric mean over the numbers of rows."""
        ratios = [slow / fast for slow, fast in zip(self.float32, self.bfloat16, strict=True)]
        return math.exp(sum(map(math.log, ratios)) / len(ratios))


@dataclass(frozen=True)
class Choice:
    """A type, and a sentence on why it was taken; '' where it was asked for."""

    dtype: Dtype
    note: str = ""


def dtype_on_gpu(requested: Dtype, capability: tuple[int, int], stored: Collection[str]) -> Choice:
    """Resolve `auto` on a GPU of compute `capability`, for weights stored in these types ("BF16").

    From 8.0 on bfloat16. Below it is slow, and float16 is taken only where the weights are stored so:
    numbers of a model trained in bfloat16 can exceed float16's 65,504. The operator, which knows the
    model, asks for float16 by name.
    """
    if requested != "auto":
        return Choice(requested)
    if capability >= _FIRST_GPU_WITH_BFLOAT16:
        return Choice("bfloat16")
    gpu = f"this GPU has compute capability {capability[0]}.{capability[1]} and no bfloat16"
    if set(stored) <= {"F16"} and stored:
        return Choice("float16", f"runs in float16, as the weights are stored: {gpu}")
    return Choice("float32", f"runs in float32: {gpu}, and the weights may not fit float16's range")


def dtype_on_cpu(
    requested: Dtype, cpuinfo: str, measure: Callable[[], Speeds], float32_fits: Callable[[], bool]
) -> Choice:
    """Resolve `auto` on the CPU of /proc/cpuinfo.

    float32, unless the processor has bfloat16 instructions and this torch is faster with them, which
    `measure` finds out: not every build uses them. bfloat16 too where float32 does not fit the memory.
    """
    if requested != "auto":
        return Choice(requested)
    if not float32_fits():
        return Choice("bfloat16", "runs in bfloat16: in float32 the weights do not fit the memory")
    if not cpu.has_bfloat16(cpuinfo):
        return Choice("float32", "runs in float32: this CPU has no instructions for bfloat16")
    speeds = measure()
    told = f"measured {speeds.gain:.1f} times float32's speed"
    if speeds.gain > 1:
        return Choice("bfloat16", f"runs in bfloat16: {told}")
    return Choice("float32", f"runs in float32: bfloat16 {told}, though this CPU has instructions for it")


def measure_cpu(hidden_size: int) -> Speeds:
    """Multiply a few rows by matrices of the model's width in both types, in turns; takes about 0.1 s.

    On one thread: what is compared is instructions, and threads that wait for busy cores would hide them.
    The best of several turns counts, which is the one that nothing else disturbed.
    """
    import torch

    width = min(max(hidden_size, 64), 4096)
    height = max(min(4 * width, _LARGEST_MATRIX // width), 1)
    types = (torch.float32, torch.bfloat16)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            matrices = [torch.full((height, width), 0.01, dtype=kind) for kind in types]
            best = {kind: [math.inf] * len(_ROWS) for kind in types}
            for _ in range(_REPETITIONS):
                for matrix in matrices:
                    for at, rows in enumerate(_ROWS):
                        batch = torch.full((rows, width), 0.01, dtype=matrix.dtype)
                        started = time.perf_counter()
                        torch.nn.functional.linear(batch, matrix)
                        best[matrix.dtype][at] = min(best[matrix.dtype][at], time.perf_counter() - started)
    finally:
        torch.set_num_threads(threads)
    return Speeds(*(tuple(best[kind]) for kind in types))
