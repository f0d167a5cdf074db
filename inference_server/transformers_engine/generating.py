"""The library's generate(): its config of our Sampling, and the model's special tokens."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import transformers

from inference_server.engine import Sampling
from inference_server.transformers_engine.tokenizer import HfTokenizer

# The model's own sampling defaults do not count: v0.3.0's do. What says which tokens exist at all stays.
_KEPT_GENERATION_KEYS = ("bos_token_id", "bad_words_ids", "suppress_tokens", "begin_suppress_tokens")


@dataclass(frozen=True)
class Specials:
    """The model's end tokens, and what fills up an answer that is shorter than its neighbours."""

    eos: tuple[int, ...]
    pad: int


def find_specials(tokenizer: HfTokenizer, config: transformers.GenerationConfig) -> Specials:
    """Take the union of the end tokens that the tokenizer and the generation config name.

    Chat models often name the end of a turn in one and the end of a text in the other: with only one of
    them the model talks on, playing the user's part.
    """
    named = [tokenizer.eos_token_id, *_as_list(getattr(config, "eos_token_id", None))]
    eos = tuple(dict.fromkeys(token_id for token_id in named if token_id is not None))
    pad = tokenizer.pad_token_id
    return Specials(eos, pad if pad is not None else next(iter(eos), 0))


def reset_generation_config(model: Any) -> None:  # noqa: ANN401 - the library has no types
    """Replace the model's generation config, which the library would mix into every request."""
    old = model.generation_config
    kept = {key: getattr(old, key, None) for key in _KEPT_GENERATION_KEYS}
    model.generation_config = type(old)(**{key: value for key, value in kept.items() if value is not None})


def generation_config(sampling: Sampling, eos: Sequence[int], pad: int) -> transformers.GenerationConfig:
    """Build the library's config of known fields only: no key of a request can name another one."""
    config = transformers.GenerationConfig(
        max_new_tokens=sampling.max_new_tokens,
        min_new_tokens=sampling.min_new_tokens or None,
        do_sample=sampling.do_sample,
        num_beams=sampling.num_beams,
        num_return_sequences=sampling.num_return_sequences,
        repetition_penalty=sampling.repetition_penalty,
        no_repeat_ngram_size=sampling.no_repeat_ngram_size,
        eos_token_id=list(eos) or None,
        pad_token_id=pad if sampling.pad_token_id is None else sampling.pad_token_id,
        use_cache=True,
    )
    if sampling.do_sample:
        config.temperature = sampling.temperature
        config.top_k = sampling.top_k
        config.top_p = sampling.top_p
        config.typical_p = sampling.typical_p
        if sampling.min_p:
            config.min_p = sampling.min_p
    if sampling.num_beams > 1:
        config.early_stopping = sampling.early_stopping
        config.length_penalty = sampling.length_penalty
    return config


def without_padding(row: list[int], eos: Collection[int], pad: int) -> list[int]:
    """Return the row up to and with its first end token, or without trailing padding."""
    for position, token_id in enumerate(row):
        if token_id in eos:
            return row[: position + 1]
    end = len(row)
    while end and row[end - 1] == pad:
        end -= 1
    return row[:end]


def _as_list(value: list[int] | int | None) -> list[int | None]:
    return [*value] if isinstance(value, list) else [value]
