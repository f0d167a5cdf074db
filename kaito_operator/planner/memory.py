"""Memory that a model needs, in bytes. GPUs and CPUs are counted by the same formulas.

Nothing is rounded here; `api.quantities` rounds when an amount becomes text.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from kaito_operator.api.quantities import GIB, MIB
from presets.catalog import Architecture, Dtype, Preset

DTYPE_BYTES: Final[Mapping[Dtype, int]] = MappingProxyType({"float32": 4, "bfloat16": 2, "float16": 2})

PLANNED_CONTEXT_TOKENS: Final = 8192
"""Context that memory is planned for where the model would take more: a choice, since 128k tokens of cache
would ask for tens of GiB that few requests use."""

ACTIVATION_HIDDEN_STATES: Final = 40
"""Measured: reading a prompt of 8,188 tokens took 35 times the size of its hidden states, one of 4,096
tokens 32 times (SmolLM2-135M-Instruct, float32, transformers 5.23, torch 2.15, 2 CPU cores, peak of
resident memory less weights, cache and program). Rounded up."""

CPU_OVERHEAD_BYTES: Final = 768 * MIB
"""Measured: 735 MiB are resident once torch 2.15 and transformers 5.23 are imported, before any weights.
The rest is for the web server: an assumption."""

GPU_OVERHEAD_BYTES: Final = 23 * GIB // 10
"""CUDA context, kernels and fragmentation on the GPUs: the 2.3 GiB of KAITO v0.12.0's estimator, whose
server is another one. Not measured with ours."""


@dataclass(frozen=True)
class MemoryNeed:
    """Bytes that one replica needs where the model runs: on its GPUs together, or in the CPU's memory.

    Attributes:
        kv_cache_bytes_per_token: for one token of one sequence.
        kv_cache_bytes: for the planned context of one sequence.
        activation_bytes: passing, while a prompt of the planned context is read.
        overhead_bytes: of the program itself, before any weights.
    """

    weights_bytes: int
    kv_cache_bytes_per_token: int
    kv_cache_bytes: int
    activation_bytes: int
    overhead_bytes: int

    @property
    def total_bytes(self) -> int:
        """Everything at once."""
        return self.weights_bytes + self.kv_cache_bytes + self.activation_bytes + self.overhead_bytes


def memory_need(preset: Preset, dtype: Dtype) -> MemoryNeed:
    """What one replica needs for one sequence of the planned context.

    SmolLM2-135M-Instruct on a CPU in float32: 513 MiB of weights, 360 MiB of cache, 720 MiB of activations
    and 768 MiB of program, 2.4 GiB in all; the peak that was measured is 2.2 GiB.
    """
    architecture = preset.architecture
    tokens = planned_context_tokens(architecture)
    return MemoryNeed(
        weights_bytes=weights_bytes(preset.parameters, dtype),
        kv_cache_bytes_per_token=kv_cache_bytes_per_token(architecture, dtype),
        kv_cache_bytes=kv_cache_bytes(architecture, dtype, tokens),
        activation_bytes=activation_bytes(architecture, dtype, tokens),
        overhead_bytes=GPU_OVERHEAD_BYTES if preset.gpus else CPU_OVERHEAD_BYTES,
    )


def planned_context_tokens(architecture: Architecture) -> int:
    """Tokens of one sequence, prompt and answer, that memory is planned for."""
    return min(architecture.max_context_tokens, PLANNED_CONTEXT_TOKENS)


def weights_bytes(parameters: int, dtype: Dtype) -> int:
    """Bytes of the loaded weights: parameters x bytes of the dtype.

    Llama-2-7B: 6,738,415,616 x 2 (float16) = 13,476,831,232, which is 12.6 GiB.
    """
    return parameters * DTYPE_BYTES[dtype]


def kv_cache_bytes_per_token(architecture: Architecture, dtype: Dtype) -> int:
    """Bytes of key-value cache for one token: 2 (K and V) x layers x kv_heads x head_dim x dtype bytes.

    Llama-2-7B in float16: 2 x 32 x 32 x 128 x 2 = 524,288, half a MiB. Source: the cache holds one key and
    one value vector per kv head and layer (Shazeer 2019, arXiv 1911.02150).
    """
    return 2 * architecture.layers * architecture.kv_heads * architecture.head_dim * DTYPE_BYTES[dtype]


def kv_cache_bytes(architecture: Architecture, dtype: Dtype, tokens: int, sequences: int = 1) -> int:
    """Bytes of key-value cache for `sequences` of `tokens` each, all of them full.

    Llama-2-7B in float16, 1 sequence of 4,096 tokens: 2 GiB.
    """
    return kv_cache_bytes_per_token(architecture, dtype) * tokens * sequences


def activation_bytes(architecture: Architecture, dtype: Dtype, tokens: int) -> int:
    """Bytes that pass while a prompt of `tokens` is read: 40 x hidden_size x dtype bytes x tokens.

    Linear in the tokens, because attention is computed blockwise and logits only for the last token.
    SmolLM2 in float32, 8,192 tokens: 40 x 576 x 4 x 8,192 = 720 MiB; 628 MiB were measured.
    """
    return ACTIVATION_HIDDEN_STATES * architecture.hidden_size * DTYPE_BYTES[dtype] * tokens
