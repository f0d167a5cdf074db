"""POST /chat, v0.3.0's route: a ChatRequest to the scheduler's terms, and its answers to one text."""

from __future__ import annotations

import asyncio

from fastapi import Request

from inference_server.engine import Sampling
from inference_server.errors import BadRequest
from inference_server.http.leaving import unless_client_leaves
from inference_server.http.protocol import ChatRequest, ChatResponse, GenerateKwargs
from inference_server.http.usage import Usage
from inference_server.lengths import Wish, plan_lengths
from inference_server.prompts import Prompt, prompt_from_messages, prompt_from_text
from inference_server.scheduling.stream import Generation, GenerationResult
from inference_server.service import Service


async def chat(service: Service, request: Request, body: ChatRequest) -> ChatResponse:
    """Answer one prompt or conversation; stop as soon as the client goes away.

    Raises:
        RequestError: what the client should change, or when it should come back.
        EngineFailed: the engine is broken.
    """
    service.health.require_ready()
    prompt, generation = await asyncio.to_thread(prepare, service, body)
    usage = Usage.of(request.scope)
    usage.tokens_in = len(prompt.token_ids)
    stream = service.submit(generation)
    try:
        result = await unless_client_leaves(request, stream.collect())
    finally:
        stream.close()
        service.account(stream)
        usage.tokens_out = stream.generated_tokens
    return ChatResponse(Result=result_text(service, body, prompt, result))


def prepare(service: Service, request: ChatRequest) -> tuple[Prompt, Generation]:
    """Turn a request into rows. Encodes text: run it off the event loop.

    Raises:
        BadRequest: no prompt, one that does not fit, messages that the template refuses, a token id
            that the model does not have.
        NotFound: the request names a model that is not served.
    """
    model = service.models.resolve(request.model)
    prompt = _prompt(service, request)
    kwargs = request.generate_kwargs or GenerateKwargs()
    wish = Wish(
        max_length=kwargs.max_length,
        max_new_tokens=kwargs.max_new_tokens,
        min_length=kwargs.min_length,
        cut_prompt=request.handle_long_generation == "hole",
    )
    lengths = plan_lengths(len(prompt.token_ids), wish, service.engine.context_tokens)
    sampling = Sampling(
        max_new_tokens=lengths.max_new_tokens,
        min_new_tokens=lengths.min_new_tokens,
        do_sample=kwargs.samples,
        temperature=kwargs.temperature,
        top_k=kwargs.top_k,
        top_p=kwargs.top_p,
        typical_p=kwargs.typical_p,
        repetition_penalty=kwargs.repetition_penalty,
        no_repeat_ngram_size=kwargs.no_repeat_ngram_size,
        num_beams=kwargs.num_beams,
        early_stopping=kwargs.early_stopping,
        length_penalty=kwargs.length_penalty,
        eos_token_ids=tuple(kwargs.eos_token_id or ()),
        pad_token_id=kwargs.pad_token_id,
        seed=kwargs.seed,
        stop=kwargs.stop_texts,
        clean_up_tokenization_spaces=bool(request.clean_up_tokenization_spaces),
    )
    kept = Prompt(prompt.token_ids[-lengths.keep :], prompt.text, prompt.templated)
    return kept, service.generation(kept, sampling, kwargs.num_return_sequences, model.revision)


def result_text(service: Service, request: ChatRequest, prompt: Prompt, result: GenerationResult) -> str:
    """Write the answers as `Result`, one below the other if there are several.

    With return_full_text the user's prompt stands before each; models without chat template do so
    unless told otherwise, for their answer continues the prompt.
    """
    full = request.return_full_text
    if full is None:
        full = not service.engine.tokenizer.has_chat_template
    before = prompt.text if full else ""
    return "\n".join(before + answer.text for answer in result.answers)


def _prompt(service: Service, request: ChatRequest) -> Prompt:
    tokenizer = service.engine.tokenizer
    if request.prompt:
        return prompt_from_text(request.prompt, request.prefix or "", tokenizer, service.markers)
    if request.messages:
        return prompt_from_messages([message.model_dump() for message in request.messages], tokenizer)
    if request.prompt is None and request.messages is not None:
        raise BadRequest("Conversational parameter messages required")
    raise BadRequest("Text generation parameter prompt required")
