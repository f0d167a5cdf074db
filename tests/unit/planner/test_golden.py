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
    ("qwen2.5-0.5b-instruct", 988_065_536, 12_288),
    ("qwen2.5-1.5b-instruct", 3_087_428_608, 28_672),
    ("qwen2.5-3b-instruct", 6_171_877_376, 36_864),
    ("qwen2.5-7b-instruct", 15_231_233_024, 57_344),
    ("qwen2.5-14b-instruct", 29_540_067_328, 196_608),
    ("qwen2.5-32b-instruct", 65_527_752_704, 262_144),
    ("qwen2.5-72b-instruct", 145_412_407_296, 327_680),
    ("qwen2.5-coder-7b-instruct", 15_231_233_024, 57_344),
    ("qwen2.5-coder-32b-instruct", 65_527_752_704, 262_144),
    ("qwen3-0.6b", 1_192_099_840, 114_688),
    ("qwen3-1.7b", 3_441_149_952, 114_688),
    ("qwen3-4b", 8_044_936_192, 147_456),
    ("qwen3-8b", 16_381_470_720, 147_456),
    ("qwen3-14b", 29_536_614_400, 163_840),
    ("qwen3-32b", 65_524_246_528, 262_144),
    ("qwen3-30b-a3b", 61_064_245_248, 98_304),
    ("llama-3.1-8b-instruct", 16_060_522_496, 131_072),
    ("llama-3.2-1b-instruct", 2_471_628_800, 32_768),
    ("llama-3.2-3b-instruct", 6_425_499_648, 114_688),
    ("llama-3.3-70b-instruct", 141_107_412_992, 327_680),
    ("mistral-nemo-12b-instruct", 24_495_564_800, 163_840),
    ("mistral-small-24b-instruct", 47_144_806_400, 163_840),
    ("phi-3.5-mini-instruct", 7_642_159_104, 393_216),
    ("phi-4-mini-instruct", 7_672_043_520, 131_072),
    ("phi-4", 29_319_014_400, 204_800),
    ("gemma-2-2b-instruct", 5_228_683_776, 106_496),
    ("gemma-2-9b-instruct", 18_483_411_968, 344_064),
    ("gemma-2-27b-instruct", 54_454_256_640, 376_832),
    ("gemma-3-1b-instruct", 1_999_771_904, 26_624),
    ("deepseek-r1-distill-qwen-1.5b", 3_554_176_000, 28_672),
    ("deepseek-r1-distill-qwen-7b", 15_231_233_024, 57_344),
    ("deepseek-r1-distill-qwen-14b", 29_540_067_328, 196_608),
    ("deepseek-r1-distill-qwen-32b", 65_527_752_704, 262_144),
    ("deepseek-r1-distill-llama-8b", 16_060_522_496, 131_072),
    ("deepseek-r1-distill-llama-70b", 141_107_412_992, 327_680),
    ("smollm2-135m-instruct", 269_030_016, 23_040),
    ("smollm2-360m-instruct", 723_642_240, 40_960),
    ("smollm2-1.7b-instruct", 3_422_752_768, 196_608),
    ("smollm3-3b", 6_150_197_248, 73_728),
]


@pytest.mark.parametrize(("name", "weights", "per_token"), GOLDEN)
def test_the_preset_takes_these_bytes(name: str, weights: int, per_token: int) -> None:
    preset = CATALOG[name]
    assert weights_bytes(preset.parameters, preset.dtype) == weights
    assert kv_cache_bytes_per_token(preset.architecture, preset.dtype) == per_token


def test_every_preset_has_its_golden_numbers() -> None:
    assert [name for name, _, _ in GOLDEN] == list(CATALOG)
