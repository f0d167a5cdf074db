"""One call of the library's generate(): Sampling in, answers out. Importing this imports torch."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import torch
import transformers

from inference_server.engine import Answer, FinishReason, GenerationResult, Sampling
from inference_server.tokenizer import HfTokenizer

_CONTEXT_FOR_DECODING = 8  # tokens before the answer that decide whether it begins with a space


@dataclass(frozen=True)
class Specials:
    """The model's end tokens, and what fills up an answer that is shorter than its neighbours."""

    eos: tuple[int, ...]
    pad: int


def find_specials(tokenizer: HfTokenizer, generation_config: transformers.GenerationConfig) -> Specials:
    """Take the union of the end tokens that the tokenizer and the generation config name.

    Chat models often name the end of a turn in one and the end of a text in the other: with only one of
    them the model talks on, playing the user's part.
    """
    named = [tokenizer.eos_token_id, *_as_list(getattr(generation_config, "eos_token_id", None))]
    eos = tuple(dict.fromkeys(token_id for token_id in named if token_id is not None))
    pad = tokenizer.pad_token_id
    return Specials(eos, pad if pad is not None else next(iter(eos), 0))


def generate(
    model: transformers.PreTrainedModel,
    tokenizer: HfTokenizer,
    specials: Specials,
    prompt: Sequence[int],
    sampling: Sampling,
    cancelled: threading.Event,
) -> GenerationResult:
    """Generate for one prompt, blocking; what torch raises passes through."""
    eos = sampling.eos_token_ids or specials.eos
    pad = specials.pad if sampling.pad_token_id is None else sampling.pad_token_id
    # (1, prompt tokens) in; (num_return_sequences, prompt and new tokens) out
    input_ids = torch.tensor([list(prompt)], dtype=torch.long, device=model.device)
    watch = _Watch(tokenizer, len(prompt), sampling.stop, cancelled)
    with torch.inference_mode(), _seeded(sampling.seed):
        output = model.generate(
            input_ids,
            attention_mask=torch.ones_like(input_ids),
            generation_config=_config(sampling, eos, pad),
            stopping_criteria=transformers.StoppingCriteriaList([watch]),
        )
    rows = output[:, len(prompt) :].tolist()
    finish = _Finish(tokenizer, tuple(prompt), sampling, frozenset(eos), pad, cancelled.is_set())
    return GenerationResult(len(prompt), tuple(finish.answer(row) for row in rows))


@dataclass(frozen=True)
class _Finish:
    """Makes answers of rows of new token ids."""

    tokenizer: HfTokenizer
    prompt: tuple[int, ...]
    sampling: Sampling
    eos: Collection[int]
    pad: int
    cancelled: bool

    def answer(self, row: list[int]) -> Answer:
        ids, ended = _without_padding(row, self.eos, self.pad)
        text, stopped = _cut_at(self._text(ids), self.sampling.stop)
        reason: FinishReason = "stop" if ended or stopped else "cancelled" if self.cancelled else "length"
        return Answer(tuple(ids), text, reason)

    def _text(self, ids: list[int]) -> str:
        """Decode a chat model's answer alone, and a base model's behind the end of the prompt it continues.

        Alone, many tokenizers drop the first space, which the continuation of a text needs.
        """
        clean_up = self.sampling.clean_up_tokenization_spaces
        context = [] if self.tokenizer.has_chat_template else list(self.prompt[-_CONTEXT_FOR_DECODING:])
        before = self.tokenizer.decode(context, clean_up=clean_up)
        return self.tokenizer.decode(context + ids, clean_up=clean_up)[len(before) :]


class _Watch(transformers.StoppingCriteria):  # type: ignore[misc] # the library has no types
    """Ends rows that contain a stop text, and all rows once the request is cancelled."""

    def __init__(
        self, tokenizer: HfTokenizer, prompt_tokens: int, stop: Sequence[str], cancelled: threading.Event
    ) -> None:
        self._tokenizer = tokenizer
        self._prompt_tokens = prompt_tokens
        self._stop = stop
        self._cancelled = cancelled
        # A character may take 4 byte tokens; a few more tokens, for the stop text may begin inside of one.
        self._window = 4 * max(map(len, stop), default=0) + 8

    def __call__(self, input_ids: torch.Tensor, scores: object, **_: object) -> torch.Tensor:
        rows, length = input_ids.shape  # (rows, prompt and new tokens so far)
        if self._cancelled.is_set():
            return torch.ones(rows, dtype=torch.bool, device=input_ids.device)
        if not self._stop:
            return torch.zeros(rows, dtype=torch.bool, device=input_ids.device)
        start = max(self._prompt_tokens, length - self._window)
        ended = [self._ends(row) for row in input_ids[:, start:].tolist()]
        return torch.tensor(ended, dtype=torch.bool, device=input_ids.device)

    def _ends(self, ids: list[int]) -> bool:
        text = self._tokenizer.decode(ids, clean_up=False)
        return any(stop in text for stop in self._stop)


def _config(sampling: Sampling, eos: Sequence[int], pad: int) -> transformers.GenerationConfig:
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
        pad_token_id=pad,
        use_cache=True,
    )
    if sampling.do_sample:
        config.temperature = sampling.temperature
        config.top_k = sampling.top_k
        config.top_p = sampling.top_p
        config.typical_p = sampling.typical_p
    if sampling.num_beams > 1:
        config.early_stopping = sampling.early_stopping
        config.length_penalty = sampling.length_penalty
    return config


@contextlib.contextmanager
def _seeded(seed: int | None) -> Iterator[None]:
    """Draw from `seed`, and leave the generators as they were: the next request shall not repeat this one."""
    if seed is None:
        yield
        return
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


def _without_padding(row: list[int], eos: Collection[int], pad: int) -> tuple[list[int], bool]:
    """Return the row up to and with its first end token, or without trailing padding; and which it was."""
    for position, token_id in enumerate(row):
        if token_id in eos:
            return row[: position + 1], True
    end = len(row)
    while end and row[end - 1] == pad:
        end -= 1
    return row[:end], False


def _cut_at(text: str, stops: Sequence[str]) -> tuple[str, bool]:
    """Return the text before the first stop text in it, and whether there was one."""
    found = [at for at in (text.find(stop) for stop in stops) if at >= 0]
    return (text[: min(found)], True) if found else (text, False)


def _as_list(value: list[int] | int | None) -> list[int | None]:
    return [*value] if isinstance(value, list) else [value]
