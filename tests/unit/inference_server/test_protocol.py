from typing import Any

import pytest
from pydantic import ValidationError

from inference_server.http.protocol import ChatRequest, GenerateKwargs, range_problem

V0_3_0_DEFAULTS = {
    "min_length": 0,
    "do_sample": True,
    "early_stopping": False,
    "num_beams": 1,
    "temperature": 1.0,
    "top_k": 10,
    "top_p": 1.0,
    "typical_p": 1.0,
    "repetition_penalty": 1.0,
    "pad_token_id": None,
    "eos_token_id": None,
}


def test_the_defaults_are_those_of_v0_3_0() -> None:
    found = GenerateKwargs().model_dump()
    assert {key: found[key] for key in V0_3_0_DEFAULTS} == V0_3_0_DEFAULTS


def problem(kwargs: dict[str, Any]) -> str | None:
    with pytest.raises(ValidationError) as refused:
        ChatRequest.model_validate({"prompt": "x", "generate_kwargs": kwargs})
    return range_problem(refused.value.errors())


OUT_OF_RANGE = [
    ({"temperature": -0.1}, "temperature"),
    ({"temperature": float("nan")}, "temperature"),
    ({"top_p": 0}, "top_p"),
    ({"top_k": -1}, "top_k"),
    ({"num_beams": 17}, "num_beams"),
    ({"max_new_tokens": 0}, "max_new_tokens"),
    ({"repetition_penalty": 0}, "repetition_penalty"),
    ({"stop": [""]}, "stop"),
    ({"stop": ["x"] * 9}, "stop"),
    ({"num_beam_groups": 2}, "num_beam_groups"),
    ({"output_scores": True}, "output_scores"),
    ({"do_sample": False, "num_return_sequences": 2}, "num_return_sequences"),
    ({"custom_generate": "x", "trust_remote_code": True}, "custom_generate"),
]


@pytest.mark.parametrize(("kwargs", "named"), OUT_OF_RANGE)
def test_a_value_out_of_range_is_a_sentence_that_names_it(kwargs: dict[str, Any], named: str) -> None:
    assert named in (problem(kwargs) or "")


@pytest.mark.parametrize("kwargs", [{"temperature": "hot"}, {"do_sample": "perhaps"}, {"stop": {}}])
def test_a_wrong_type_is_left_to_the_422(kwargs: dict[str, Any]) -> None:
    assert problem(kwargs) is None


NEUTRAL = {
    "num_beam_groups": 1,
    "diversity_penalty": 0.0,
    "bad_words_ids": None,
    "output_scores": False,
    "return_dict_in_generate": False,
    "remove_invalid_values": False,
}


def test_the_documented_examples_of_v0_3_0_go_on_working() -> None:
    assert GenerateKwargs.model_validate(NEUTRAL).num_beam_groups == 1


def test_unknown_top_level_keys_are_ignored_as_in_v0_3_0() -> None:
    assert ChatRequest.model_validate({"prompt": "x", "model": "y"}).prompt == "x"
