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


# Sizing, quantization, several GPUs.


def test_twice_the_sequences_take_twice_the_cache_and_nothing_else() -> None:
    phi = CATALOG["phi-2"]
    one = memory.memory_need(phi, "float16", memory.Sizing(sequences=1))
    two = memory.memory_need(phi, "float16", memory.Sizing(sequences=2))
    assert two.kv_cache_bytes == 2 * one.kv_cache_bytes
    assert two.total_bytes - one.total_bytes == one.kv_cache_bytes


def test_a_context_that_is_asked_for_is_planned_up_to_what_the_model_takes() -> None:
    architecture = CATALOG["phi-3-mini-4k-instruct"].architecture
    assert memory.planned_context_tokens(architecture, memory.Sizing(1000)) == 1000
    assert memory.planned_context_tokens(architecture, memory.Sizing(100_000)) == 4096


def test_quantized_weights_keep_both_embedding_matrices_in_their_type() -> None:
    mistral = CATALOG["mistral-7b"]
    kept = 2 * 32_768 * 4096
    quantized = mistral.parameters - kept
    assert memory.weights_in_memory(mistral, "bfloat16", "8bit") == quantized + 2 * kept
    assert memory.weights_in_memory(mistral, "bfloat16", "4bit") == quantized * 9 / 16 + 2 * kept


def test_a_tied_embedding_is_kept_once() -> None:
    small = CATALOG["smollm2-135m-instruct"]
    kept = 49_152 * 576
    assert memory.weights_in_memory(small, "float32", "8bit") == small.parameters - kept + 4 * kept


def test_fewer_bits_take_fewer_bytes_for_every_preset() -> None:
    for preset in CATALOG.values():
        sizes = [memory.weights_in_memory(preset, preset.dtype, bits) for bits in ("4bit", "8bit", None)]
        assert sizes == sorted(sizes)


def test_the_fullest_gpu_holds_whole_layers_and_all_activations() -> None:
    falcon = CATALOG["falcon-40b"]  # 60 layers
    need = memory.memory_need(falcon, "bfloat16", gpus=8)
    part = memory.need_of_fullest_gpu(need, falcon.architecture, 8, tensor=False)
    assert part.weights_bytes == -(-need.weights_bytes * 8 // 60)
    assert part.overhead_bytes == memory.GPU_OVERHEAD_BYTES
    assert part.activation_bytes == memory.activation_bytes(falcon.architecture, "bfloat16", 2048)


def test_a_group_cuts_every_matrix_and_the_cache_evenly() -> None:
    llama = CATALOG["llama-2-70b"]
    need = memory.memory_need(llama, "float16", gpus=8)
    part = memory.need_of_fullest_gpu(need, llama.architecture, 8, tensor=True)
    assert part.weights_bytes == need.weights_bytes // 8
    assert part.kv_cache_bytes == need.kv_cache_bytes // 8


def test_one_gpu_holds_all_of_it() -> None:
    phi = CATALOG["phi-2"]
    need = memory.memory_need(phi, "float16", gpus=1)
    assert memory.need_of_fullest_gpu(need, phi.architecture, 1, tensor=False) == need
