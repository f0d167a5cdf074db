"""The parameters of each preset, counted from its architecture in two ways that do not know of each other.

Everywhere: by a formula. In make test-full: on the model that the library builds from the same facts, without
memory for its weights.
"""

from dataclasses import dataclass, replace

import pytest

from presets.catalog import Architecture, Preset, load_catalog

CATALOG = load_catalog()


@dataclass(frozen=True)
class Layer:
    """What config.json says of a layer beyond the catalog, and how the family's layers are built.

    Attributes:
        model_type: of config.json.
        feed_forward: width of the feed-forward network, of each expert where there are several.
        matrices: of a feed-forward network; 3 with a gate.
        experts: feed-forward networks of a layer.
        attention_bias: query, key and value have a bias.
        all_bias: so have all other matrices, the output matrix too.
        head_norms: queries and keys are normalized, head by head.
        norms: of a layer, as wide as the hidden state.
        norm_vectors: of a norm; 2 with a bias.
    """

    model_type: str
    feed_forward: int
    matrices: int = 3
    experts: int = 1
    attention_bias: bool = False
    all_bias: bool = False
    head_norms: bool = False
    norms: int = 2
    norm_vectors: int = 1


def llama(feed_forward: int, model_type: str = "llama") -> Layer:
    return Layer(model_type, feed_forward)


def qwen2(feed_forward: int) -> Layer:
    return Layer("qwen2", feed_forward, attention_bias=True)


def qwen3(feed_forward: int) -> Layer:
    return Layer("qwen3", feed_forward, head_norms=True)


def gemma2(feed_forward: int) -> Layer:
    return Layer("gemma2", feed_forward, norms=4)


def falcon(feed_forward: int, norms: int) -> Layer:
    return Layer("falcon", feed_forward, matrices=2, norms=norms, norm_vectors=2)


PHI_2 = Layer("phi", 10_240, matrices=2, attention_bias=True, all_bias=True, norms=1, norm_vectors=2)
QWEN3_MOE = replace(qwen3(768), model_type="qwen3_moe", experts=128)
GEMMA3 = replace(gemma2(6912), model_type="gemma3_text", head_norms=True)

LAYERS = {
    "falcon-7b": falcon(18_176, norms=1),
    "falcon-40b": falcon(32_768, norms=2),
    "llama-2-7b": llama(11_008),
    "llama-2-13b": llama(13_824),
    "llama-2-70b": llama(28_672),
    "mistral-7b": llama(14_336, "mistral"),
    "phi-2": PHI_2,
    "phi-3-mini-4k-instruct": llama(8192, "phi3"),
    "phi-3-mini-128k-instruct": llama(8192, "phi3"),
    "phi-3-medium-4k-instruct": llama(17_920, "phi3"),
    "phi-3-medium-128k-instruct": llama(17_920, "phi3"),
    "qwen2.5-0.5b-instruct": qwen2(4864),
    "qwen2.5-1.5b-instruct": qwen2(8960),
    "qwen2.5-3b-instruct": qwen2(11_008),
    "qwen2.5-7b-instruct": qwen2(18_944),
    "qwen2.5-14b-instruct": qwen2(13_824),
    "qwen2.5-32b-instruct": qwen2(27_648),
    "qwen2.5-72b-instruct": qwen2(29_568),
    "qwen2.5-coder-7b-instruct": qwen2(18_944),
    "qwen2.5-coder-32b-instruct": qwen2(27_648),
    "qwen3-0.6b": qwen3(3072),
    "qwen3-1.7b": qwen3(6144),
    "qwen3-4b": qwen3(9728),
    "qwen3-8b": qwen3(12_288),
    "qwen3-14b": qwen3(17_408),
    "qwen3-32b": qwen3(25_600),
    "qwen3-30b-a3b": QWEN3_MOE,
    "llama-3.1-8b-instruct": llama(14_336),
    "llama-3.2-1b-instruct": llama(8192),
    "llama-3.2-3b-instruct": llama(8192),
    "llama-3.3-70b-instruct": llama(28_672),
    "mistral-nemo-12b-instruct": llama(14_336, "mistral"),
    "mistral-small-24b-instruct": llama(32_768, "mistral"),
    "phi-3.5-mini-instruct": llama(8192, "phi3"),
    "phi-4-mini-instruct": llama(8192, "phi3"),
    "phi-4": llama(17_920, "phi3"),
    "gemma-2-2b-instruct": gemma2(9216),
    "gemma-2-9b-instruct": gemma2(14_336),
    "gemma-2-27b-instruct": gemma2(36_864),
    "gemma-3-1b-instruct": GEMMA3,
    "deepseek-r1-distill-qwen-1.5b": qwen2(8960),
    "deepseek-r1-distill-qwen-7b": qwen2(18_944),
    "deepseek-r1-distill-qwen-14b": qwen2(13_824),
    "deepseek-r1-distill-qwen-32b": qwen2(27_648),
    "deepseek-r1-distill-llama-8b": llama(14_336),
    "deepseek-r1-distill-llama-70b": llama(28_672),
    "smollm2-135m-instruct": llama(1536),
    "smollm2-360m-instruct": llama(2560),
    "smollm2-1.7b-instruct": llama(8192),
    "smollm3-3b": llama(11_008, "smollm3"),
}
TUNED_FROM = {
    "falcon-7b-instruct": "falcon-7b",
    "falcon-40b-instruct": "falcon-40b",
    "llama-2-7b-chat": "llama-2-7b",
    "llama-2-13b-chat": "llama-2-13b",
    "llama-2-70b-chat": "llama-2-70b",
    "mistral-7b-instruct": "mistral-7b",
}

every_preset = pytest.mark.parametrize("preset", CATALOG.values(), ids=CATALOG.keys())


def layer_of(preset: Preset) -> Layer:
    return LAYERS[TUNED_FROM.get(preset.name, preset.name)]


def counted(architecture: Architecture, layer: Layer) -> int:
    hidden = architecture.hidden_size
    queries = architecture.attention_heads * architecture.head_dim
    keys = architecture.kv_heads * architecture.head_dim
    attention = 2 * hidden * queries + 2 * hidden * keys
    attention += (queries + 2 * keys) * layer.attention_bias + hidden * layer.all_bias
    attention += 2 * architecture.head_dim * layer.head_norms
    network = layer.matrices * hidden * layer.feed_forward + (layer.feed_forward + hidden) * layer.all_bias
    router = hidden * layer.experts if layer.experts > 1 else 0
    norm = hidden * layer.norm_vectors
    layers = architecture.layers * (attention + layer.experts * network + router + layer.norms * norm)
    output = architecture.vocab_size * (hidden + layer.all_bias)
    embeddings = architecture.vocab_size * hidden + (0 if architecture.tied_embeddings else output)
    return embeddings + layers + norm


def built(architecture: Architecture, layer: Layer) -> int:
    """Parameters of the library's own model, built without memory."""
    import torch  # heavy, and only for the full run
    from transformers import AutoConfig, AutoModelForCausalLM

    heads: dict[str, object] = {
        "num_key_value_heads": architecture.kv_heads,
        "head_dim": architecture.head_dim,
        "intermediate_size": layer.feed_forward,
        "moe_intermediate_size": layer.feed_forward,
        "num_experts": layer.experts,
    }
    if layer.model_type == "falcon":  # has names of its own, and follows the rest from them
        heads = {"num_kv_heads": architecture.kv_heads, "new_decoder_architecture": layer.norms == 2}
    config = AutoConfig.for_model(
        layer.model_type,
        num_hidden_layers=architecture.layers,
        hidden_size=architecture.hidden_size,
        num_attention_heads=architecture.attention_heads,
        vocab_size=architecture.vocab_size,
        tie_word_embeddings=architecture.tied_embeddings,
        pad_token_id=None,
        **heads,
    )
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    return sum(parameter.numel() for parameter in model.parameters())


@every_preset
def test_the_parameters_follow_from_the_architecture(preset: Preset) -> None:
    assert counted(preset.architecture, layer_of(preset)) == preset.parameters


@pytest.mark.full
@every_preset
def test_the_library_builds_a_model_of_as_many_parameters(preset: Preset) -> None:
    assert built(preset.architecture, layer_of(preset)) == preset.parameters


def test_no_layer_is_described_that_no_preset_has() -> None:
    assert set(LAYERS) | set(TUNED_FROM) == set(CATALOG)
