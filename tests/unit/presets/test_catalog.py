"""The table of models: what is in it, and what the loader refuses."""

import copy
from typing import Any

import pytest
import yaml

from presets.catalog import Catalog, CatalogError, Preset, load_catalog, parse_catalog

V0_3_0 = {
    "falcon-7b",
    "falcon-7b-instruct",
    "falcon-40b",
    "falcon-40b-instruct",
    "llama-2-7b",
    "llama-2-7b-chat",
    "llama-2-13b",
    "llama-2-13b-chat",
    "llama-2-70b",
    "llama-2-70b-chat",
    "mistral-7b",
    "mistral-7b-instruct",
    "phi-2",
    "phi-3-mini-4k-instruct",
    "phi-3-mini-128k-instruct",
    "phi-3-medium-4k-instruct",
    "phi-3-medium-128k-instruct",
}

ADDED = {
    *(f"qwen2.5-{size}-instruct" for size in ("0.5b", "1.5b", "3b", "7b", "14b", "32b", "72b")),
    *(f"qwen2.5-coder-{size}-instruct" for size in ("7b", "32b")),
    *(f"qwen3-{size}" for size in ("0.6b", "1.7b", "4b", "8b", "14b", "32b", "30b-a3b")),
    *(f"llama-{size}-instruct" for size in ("3.1-8b", "3.2-1b", "3.2-3b", "3.3-70b")),
    *(f"mistral-{size}-instruct" for size in ("nemo-12b", "small-24b")),
    "phi-3.5-mini-instruct",
    "phi-4-mini-instruct",
    "phi-4",
    *(f"gemma-{size}-instruct" for size in ("2-2b", "2-9b", "2-27b", "3-1b")),
    *(f"deepseek-r1-distill-qwen-{size}" for size in ("1.5b", "7b", "14b", "32b")),
    *(f"deepseek-r1-distill-llama-{size}" for size in ("8b", "70b")),
    *(f"smollm2-{size}-instruct" for size in ("135m", "360m", "1.7b")),
    "smollm3-3b",
}

CATALOG = load_catalog()
every_preset = pytest.mark.parametrize("preset", CATALOG.values(), ids=CATALOG.keys())


def a_row(**changes: object) -> dict[str, Any]:
    """A row that is right but for the changes; `a__b` names the key b inside a, None removes it."""
    row: dict[str, Any] = copy.deepcopy(CATALOG["phi-2"].model_dump(mode="json"))
    for path, value in changes.items():
        *parents, key = path.split("__")
        target = row
        for parent in parents:
            target = target[parent]
        if value is None:
            target.pop(key)
        else:
            target[key] = value
    return row


def parsed(*rows: dict[str, Any]) -> Catalog:
    return parse_catalog(yaml.safe_dump({"models": list(rows)}))


def test_every_preset_of_v0_3_0_is_there_and_39_more() -> None:
    assert set(CATALOG) == V0_3_0 | ADDED
    assert (len(V0_3_0), len(ADDED)) == (17, 39)


def test_the_catalog_is_read_once() -> None:
    assert load_catalog() is CATALOG


@pytest.mark.parametrize("name", ["Phi-2", "PHI-2", "phi-2"])
def test_a_name_is_found_in_any_case(name: str) -> None:
    assert CATALOG[name].name == "phi-2"
    assert name in CATALOG


def test_an_unknown_name_is_not_found() -> None:
    assert CATALOG.get("gpt-5") is None
    assert "" not in CATALOG


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [
        ("phi2", "phi-2"),
        ("Phi-3-mini-4k", "phi-3-mini-4k-instruct"),
        ("microsoft/Phi-3-mini-128k-instruct", "phi-3-mini-128k-instruct"),
        ("HuggingFaceTB/SmolLM2-135M", "smollm2-135m-instruct"),
        ("falcon7b", "falcon-7b"),
        ("llama2-7b-chat", "llama-2-7b-chat"),
        ("mistralai/phi2", "phi-2"),
    ],
)
def test_the_nearest_name_is_the_one_that_was_meant(wrong: str, nearest: str) -> None:
    assert CATALOG.nearest(wrong)[0] == nearest


@pytest.mark.parametrize("name", ["", "/", "zzz", "x" * 500, "☃"])
def test_there_are_always_three_names_to_propose(name: str) -> None:
    assert len(set(CATALOG.nearest(name, 3))) == 3


def test_heads_fill_the_hidden_state_but_where_the_family_widens_or_narrows_them() -> None:
    others = {
        name
        for name, preset in CATALOG.items()
        if preset.architecture.attention_heads * preset.architecture.head_dim
        != preset.architecture.hidden_size
    }
    assert others == {
        *(f"qwen3-{size}" for size in ("0.6b", "4b", "32b", "30b-a3b")),
        *(f"mistral-{size}-instruct" for size in ("nemo-12b", "small-24b")),
        *(f"gemma-{size}-instruct" for size in ("2-2b", "2-9b", "2-27b", "3-1b")),
    }


@every_preset
def test_the_files_hold_every_parameter_and_at_most_one_more_output_matrix(preset: Preset) -> None:
    output_matrix = preset.architecture.vocab_size * preset.architecture.hidden_size
    per_parameter = 2
    least = preset.parameters * per_parameter
    extra = output_matrix * per_parameter if preset.architecture.tied_embeddings else 0
    assert least <= preset.weights.bytes <= (least + extra) * 1.001


@every_preset
def test_the_disk_holds_the_weights(preset: Preset) -> None:
    assert preset.disk_gib * 1024**3 > preset.weights.bytes


def test_only_llama_2_has_to_be_brought_by_the_user() -> None:
    assert {p.name for p in CATALOG.values() if p.private} == {n for n in V0_3_0 if n.startswith("llama-2")}


def test_what_is_in_no_image_is_on_the_hub_in_a_format_that_is_downloaded() -> None:
    hub_only = {p.name for p in CATALOG.values() if p.weights.image.registry is None and not p.private}
    assert hub_only == ADDED - {"smollm2-135m-instruct"}
    assert {CATALOG[name].hub.format for name in hub_only} == {"safetensors"}


def test_meta_and_google_give_their_weights_only_with_a_token() -> None:
    gated = {p.family for p in CATALOG.values() if p.hub.gated}
    assert gated == {"Llama2", "Llama3", "Gemma2", "Gemma3"}


def test_only_the_smallest_models_run_without_a_gpu() -> None:
    small = {p.name for p in CATALOG.values() if p.parameters < 700_000_000}
    assert {p.name for p in CATALOG.values() if p.gpus == 0} == small
    assert len(small) == 4


def test_the_tunable_presets_are_those_of_v0_3_0_and_of_v0_12_and_the_small_model() -> None:
    assert {p.name for p in CATALOG.values() if p.tuning} == {
        "falcon-7b",
        "falcon-40b",
        "mistral-7b",
        "phi-2",
        "phi-3-mini-4k-instruct",
        "phi-3-mini-128k-instruct",
        "phi-3-medium-4k-instruct",
        "phi-3-medium-128k-instruct",
        "phi-3.5-mini-instruct",
        "phi-4",
        "phi-4-mini-instruct",
        "qwen2.5-coder-7b-instruct",
        "qwen2.5-coder-32b-instruct",
        "smollm2-135m-instruct",
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"licence": None}, "row 1 .phi-2.: licence: Field required"),
        ({"license": "MIT"}, "license: Extra inputs are not permitted"),
        ({"architecture__ffn": 1}, "architecture.ffn: Extra inputs are not permitted"),
        ({"architecture__kv_heads": 5}, "kv_heads 5 does not divide attention_heads 32"),
        ({"architecture__layers": 0}, "architecture.layers: Input should be greater than 0"),
        ({"architecture__layers": "32"}, "architecture.layers: Input should be a valid integer"),
        ({"name": "Phi-2"}, "name: String should match pattern"),
        ({"hub__revision": "b10c3eb"}, "hub.revision: String should match pattern"),
        ({"hub__revision": "main"}, "hub.revision: String should match pattern"),
        ({"hub__id": "phi-2"}, "hub.id: String should match pattern"),
        ({"dtype": "int8"}, "dtype: Input should be 'float32', 'bfloat16' or 'float16'"),
        ({"weights__image__tag": None}, "registry, repository and tag belong together"),
        ({"weights__image__path": "weights"}, "weights.image.path: String should match pattern"),
        ({"private": True}, "private, yet mcr.microsoft.com/aks/kaito publishes its weights"),
        ({"distributed": True, "world_size": 2}, "runs one process per GPU: 2 is not 1"),
        ({"sources": []}, "sources: Tuple should have at least 1 item"),
    ],
)
def test_a_wrong_row_is_refused_by_its_name_and_field(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CatalogError, match=message):
        parsed(a_row(**changes))


def test_a_right_row_is_taken_as_it_is() -> None:
    assert parsed(a_row())["phi-2"] == CATALOG["phi-2"]


def test_two_rows_of_one_name_are_refused() -> None:
    with pytest.raises(CatalogError, match="more than one row is named phi-2"):
        parsed(a_row(), a_row(name="phi-9"), a_row())


@pytest.mark.parametrize(
    "text", ["", "[]", "models: []", "models: {}", "models: [1]", "models: 3", "other: []", "a: [", "{}"]
)
def test_another_shape_is_refused(text: str) -> None:
    with pytest.raises(CatalogError, match=r"models\.yaml"):
        parse_catalog(text)


def test_a_row_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        CATALOG["phi-2"].gpus = 8  # type: ignore[misc]  # that it is refused is the claim
