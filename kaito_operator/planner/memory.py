"""Memory that a model needs, in bytes. GPUs and CPUs are counted by the same formulas.

Bytes are whole here; `api.quantities` rounds when an amount becomes text.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Final, Literal

from kaito_operator.api.quantities import GIB, MIB
from presets.catalog import Architecture, Dtype, Preset

Quantization = Literal["8bit", "4bit"]

DTYPE_BYTES: Final[Mapping[Dtype, int]] = MappingProxyType({"float32": 4, "bfloat16": 2, "float16": 2})

QUANTIZED_BYTES: Final[Mapping[Quantization, Fraction]] = MappingProxyType(
    {"8bit": Fraction(1), "4bit": Fraction(9, 16)}
)
"""For one number of a quantized matrix. 8bit: LLM.int8 (Dettmers 2022, arXiv 2208.07339), whose scales for
each row are too few to count. 4bit: NF4 without double quantization, 4 bits and one 32-bit scale for 64
numbers, which is 4.5 bits (Dettmers 2023, arXiv 2305.14314, section 3)."""

PLANNED_CONTEXT_TOKENS: Final = 8192
"""Context that memory is planned for where the model would take more: a choice, since 128k tokens of cache
would ask for tens of GiB that few requests use."""

PLANNED_SEQUENCES: Final = 1
"""Full sequences whose cache must fit at once. More are generated together as far as memory is left, which
the server counts by itself."""

ACTIVATION_HIDDEN_STATES: Final = 40
"""Measured: reading a prompt of 8,188 tokens took 35 times the size of its hidden states, one of 4,096
tokens 32 times (SmolLM2-135M-Instruct, float32, transformers 5.23, torch 2.15, 2 CPU cores, peak of
resident memory less weights, cache and program). Rounded up."""

CPU_OVERHEAD_BYTES: Final = 768 * MIB
"""Measured: 735 MiB are resident once torch 2.15 and transformers 5.23 are imported, before any weights.
The rest is for the web server: an assumption."""

GPU_OVERHEAD_BYTES: Final = 23 * GIB // 10
"""On each GPU, the CUDA context, kernels and fragmentation: the 2.3 GiB of KAITO v0.12.0's estimator, whose
server is another one. Not measured with ours."""


@dataclass(frozen=True)
class Sizing:
    """What the memory is to hold beside the weights, and how these are stored.

    Attributes:
        context_tokens: of one sequence, prompt and answer; None for the planned default. What the model was
            not trained for is not planned either.
        sequences: whose cache is in memory at once.
        quantization: of the weights; None keeps the type in which they run.
    """

    context_tokens: int | None = None
    sequences: int = PLANNED_SEQUENCES
    quantization: Quantization | None = None


PLANNED: Final = Sizing()
"""What is planned where nobody says otherwise."""


@dataclass(frozen=True)
class MemoryNeed:
    """Bytes that one replica needs where the model runs: on its GPUs together, or in the CPU's memory.

    Attributes:
        kv_cache_bytes_per_token: for one token of one sequence.
        kv_cache_bytes: for the planned context of all sequences.
        activation_bytes: passing, while a prompt of the planned context is read; on every GPU anew.
        overhead_bytes: of the program itself, before any weights; on every GPU anew.
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


def memory_need(
    preset: Preset, dtype: Dtype, sizing: Sizing = PLANNED, *, gpus: int | None = None
) -> MemoryNeed:
    """What one replica needs in all.

    Args:
        preset: the model.
        dtype: in which it runs.
        sizing: context, sequences, quantization.
        gpus: that it is spread over; 0 for a CPU, None for as many as its row asks for.

    SmolLM2-135M-Instruct on a CPU in float32: 513 MiB of weights, 360 MiB of cache, 720 MiB of activations
    and 768 MiB of program, 2.4 GiB in all; the peak that was measured is 2.2 GiB.
    """
    devices = preset.gpus if gpus is None else gpus
    architecture = preset.architecture
    tokens = planned_context_tokens(architecture, sizing)
    return MemoryNeed(
        weights_bytes=weights_in_memory(preset, dtype, sizing.quantization),
        kv_cache_bytes_per_token=kv_cache_bytes_per_token(architecture, dtype),
        kv_cache_bytes=kv_cache_bytes(architecture, dtype, tokens, sizing.sequences),
        activation_bytes=activation_bytes(architecture, dtype, tokens) * max(devices, 1),
        overhead_bytes=GPU_OVERHEAD_BYTES * devices if devices else CPU_OVERHEAD_BYTES,
    )


def need_of_fullest_gpu(
    need: MemoryNeed, architecture: Architecture, gpus: int, *, tensor: bool
) -> MemoryNeed:
    """The part of `need`, which was worked out for `gpus` GPUs, that falls to the one that holds the most.

    Args:
        need: of the whole replica or group.
        architecture: of the model.
        gpus: that hold it, at least 1.
        tensor: every matrix and the cache's heads are cut into `gpus` equal parts; else whole layers are
            dealt out, weights and cache together, and the fullest GPU has ceil(layers / gpus) of them.

    Activations and overhead are on every GPU in full. 60 layers on 8 GPUs: the fullest holds 8/60 of the
    weights and the cache, not 1/8.
    """
    share = Fraction(1, gpus) if tensor else Fraction(-(-architecture.layers // gpus), architecture.layers)
    return MemoryNeed(
        weights_bytes=_round_up(need.weights_bytes * share),
        kv_cache_bytes_per_token=_round_up(need.kv_cache_bytes_per_token * share),
        kv_cache_bytes=_round_up(need.kv_cache_bytes * share),
        activation_bytes=need.activation_bytes // gpus,
        overhead_bytes=need.overhead_bytes // gpus,
    )


def _round_up(amount: Fraction) -> int:
    """A part of a byte takes a whole one."""
    return -(-amount.numerator // amount.denominator)


def planned_context_tokens(architecture: Architecture, sizing: Sizing = PLANNED) -> int:
    """Tokens of one sequence, prompt and answer, that memory is planned for."""
    return min(architecture.max_context_tokens, sizing.context_tokens or PLANNED_CONTEXT_TOKENS)


def weights_in_memory(preset: Preset, dtype: Dtype, quantization: Quantization | None = None) -> int:
    """Bytes of the loaded weights, quantized or not.

    Quantized are the matrices of the layers. The input embedding, and the output matrix where it is another,
    stay in `dtype`: vocab_size x hidden_size numbers each (transformers' bitsandbytes integration leaves
    them alone). Mistral-7B in 4bit: (7,248,023,552 - 268,435,456) x 9/16 + 268,435,456 x 2 = 4.2 GiB.
    """
    if quantization is None:
        return weights_bytes(preset.parameters, dtype)
    architecture = preset.architecture
    matrices = 1 if architecture.tied_embeddings else 2
    kept = min(architecture.vocab_size * architecture.hidden_size * matrices, preset.parameters)
    quantized = (preset.parameters - kept) * QUANTIZED_BYTES[quantization]
    return _round_up(quantized) + weights_bytes(kept, dtype)


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
