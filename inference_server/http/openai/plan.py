"""From a request's fields to rows: what both routes have in common."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from inference_server.engine import Grammar, Sampling
from inference_server.errors import BadRequest
from inference_server.http.openai.fields import SamplingFields
from inference_server.lengths import Wish, plan_lengths
from inference_server.models import ModelName
from inference_server.prompts import Prompt
from inference_server.scheduling.stream import Generation
from inference_server.service import Service

_UNKNOWN_CONTEXT = 4096  # tokens of an answer where nobody says how many a model takes
_SEEDS = 2**63 - 1024  # each choice counts one up from the request's


@dataclass(frozen=True)
class Wanted:
    """What the two routes ask for under different names. `tokens` None: what the context leaves."""

    tokens: int | None
    logprobs: int | None
    grammar: Grammar | None = None
    keep_special: bool = False


def generation_for(
    service: Service, fields: SamplingFields, prompt: Prompt, model: ModelName, wanted: Wanted
) -> Generation:
    """Return the rows of one prompt. Checks a grammar, which takes milliseconds: not for the event loop.

    Raises:
        BadRequest: a prompt that fills the context, a token that the model has not, a grammar that cannot be
            kept to.
    """
    if wanted.grammar is not None and fields.ignore_eos:
        raise BadRequest("ignore_eos never ends an answer, and a schema or a call has an end; leave it out")
    context = service.engine.context_tokens
    tokens = wanted.tokens or context or _UNKNOWN_CONTEXT
    lengths = plan_lengths(len(prompt.token_ids), Wish(max_new_tokens=tokens), context)
    sampling = _sampling(fields, lengths.max_new_tokens, wanted)
    generation = service.generation(
        prompt, sampling, fields.choices, model.revision, keep_special=wanted.keep_special
    )
    if wanted.grammar is not None:
        service.engine.batch.check(generation.rows[0])
    return generation


def _sampling(fields: SamplingFields, tokens: int, wanted: Wanted) -> Sampling:
    temperature = 1.0 if fields.temperature is None else fields.temperature
    top_p = 1.0 if fields.top_p is None else fields.top_p
    return Sampling(
        max_new_tokens=tokens,
        do_sample=temperature > 0 and top_p > 0,
        temperature=temperature,
        top_k=max(fields.top_k or 0, 0),
        top_p=top_p or 1.0,  # 0 leaves the likeliest token alone, and so does do_sample
        min_p=fields.min_p or 0.0,
        typical_p=1.0 if fields.typical_p is None else fields.typical_p,
        repetition_penalty=1.0 if fields.repetition_penalty is None else fields.repetition_penalty,
        presence_penalty=fields.presence_penalty or 0.0,
        frequency_penalty=fields.frequency_penalty or 0.0,
        logit_bias={int(key): bias for key, bias in (fields.logit_bias or {}).items()},
        ignore_eos=bool(fields.ignore_eos),
        seed=None if fields.seed is None else fields.seed % _SEEDS,
        stop=tuple(fields.stop or ()),
        logprobs=wanted.logprobs,
        grammar=wanted.grammar,
    )


def fingerprint(service: Service, model: ModelName) -> str:
    """Return a word that stays the same as long as the same seed gives the same answer."""
    engine = service.engine
    facts = (
        engine.kind,
        service.options.model_name,
        str(engine.vocabulary_size),
        str(service.options.dtype),
        str(service.options.quantization),
        model.revision,
    )
    return "fp_" + hashlib.sha256("\0".join(facts).encode("utf-8", "replace")).hexdigest()[:12]
