"""The memory formulas, on the worked examples of their docstrings and at their edges."""

from kaito_operator.api.quantities import GIB, MIB
from kaito_operator.planner import memory
from presets.catalog import load_catalog

CATALOG = load_catalog()


def test_llama_2_7b_takes_half_a_mebibyte_of_cache_per_token() -> None:
    assert memory.kv_cache_bytes_per_token(CATALOG["llama-2-7b"].architecture, "float16") == MIB // 2


def test_llama_2_7b_takes_two_gibibytes_of_cache_for_its_full_context() -> None:
    assert memory.kv_cache_bytes(CATALOG["llama-2-7b"].architecture, "float16", 4096) == 2 * GIB


def test_sequences_share_no_cache() -> None:
    architecture = CATALOG["phi-2"].architecture
    one = memory.kv_cache_bytes(architecture, "float16", 100)
    assert memory.kv_cache_bytes(architecture, "float16", 100, sequences=8) == 8 * one


def test_float32_takes_twice_the_memory_of_the_stored_type() -> None:
    small = CATALOG["smollm2-135m-instruct"]
    stored, cpu = memory.memory_need(small, small.dtype), memory.memory_need(small, "float32")
    assert cpu.weights_bytes == 2 * stored.weights_bytes
    assert cpu.kv_cache_bytes_per_token == 2 * stored.kv_cache_bytes_per_token
    assert cpu.activation_bytes == 2 * stored.activation_bytes
    assert cpu.overhead_bytes == stored.overhead_bytes


def test_the_small_model_on_a_cpu_is_planned_a_little_above_what_was_measured() -> None:
    measured_peak_bytes = 2236 * MIB  # resident, after a prompt of 8,188 tokens in float32
    planned = memory.memory_need(CATALOG["smollm2-135m-instruct"], "float32").total_bytes
    assert measured_peak_bytes <= planned <= 1.15 * measured_peak_bytes


def test_a_very_long_context_is_not_planned_in_full() -> None:
    assert memory.planned_context_tokens(CATALOG["phi-3-mini-128k-instruct"].architecture) == 8192
    assert memory.planned_context_tokens(CATALOG["phi-3-mini-4k-instruct"].architecture) == 4096


def test_the_total_is_the_sum_of_its_parts() -> None:
    need = memory.MemoryNeed(
        weights_bytes=1,
        kv_cache_bytes_per_token=1000,
        kv_cache_bytes=10,
        activation_bytes=100,
        overhead_bytes=2,
    )
    assert need.total_bytes == 113
