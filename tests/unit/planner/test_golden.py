"""Weights and cache of every preset, in bytes. A changed fact or formula shows here as a changed number."""

import pytest

from kaito_operator.planner.memory import kv_cache_bytes_per_token, weights_bytes
from presets.catalog import load_catalog

CATALOG = load_catalog()

# preset, weights in the stored 16-bit type, key-value cache of one token in that type
GOLDEN = [
    ("falcon-7b", 13_843_441_408, 8_192),
    ("falcon-7b-instruct", 13_843_441_408, 8_192),
    ("falcon-40b", 82_606_587_904, 122_880),
    ("falcon-40b-instruct", 82_606_587_904, 122_880),
    ("llama-2-7b", 13_476_831_232, 524_288),
    ("llama-2-7b-chat", 13_476_831_232, 524_288),
    ("llama-2-13b", 26_031_728_640, 819_200),
    ("llama-2-13b-chat", 26_031_728_640, 819_200),
    ("llama-2-70b", 137_953_296_384, 327_680),
    ("llama-2-70b-chat", 137_953_296_384, 327_680),
    ("mistral-7b", 14_496_047_104, 131_072),
    ("mistral-7b-instruct", 14_496_047_104, 131_072),
    ("phi-2", 5_559_367_680, 327_680),
    ("phi-3-mini-4k-instruct", 7_642_159_104, 393_216),
    ("phi-3-mini-128k-instruct", 7_642_159_104, 393_216),
    ("phi-3-medium-4k-instruct", 27_920_476_160, 204_800),
    ("phi-3-medium-128k-instruct", 27_920_476_160, 204_800),
    ("smollm2-135m-instruct", 269_030_016, 23_040),
]


@pytest.mark.parametrize(("name", "weights", "per_token"), GOLDEN)
def test_the_preset_takes_these_bytes(name: str, weights: int, per_token: int) -> None:
    preset = CATALOG[name]
    assert weights_bytes(preset.parameters, preset.dtype) == weights
    assert kv_cache_bytes_per_token(preset.architecture, preset.dtype) == per_token


def test_every_preset_has_its_golden_numbers() -> None:
    assert [name for name, _, _ in GOLDEN] == list(CATALOG)
