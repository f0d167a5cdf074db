"""POST /v1/completions: texts or token ids that the model goes on with, as they are."""

from __future__ import annotations

from collections.abc import Sequence

from inference_server.engine import Tokenizer
from inference_server.http.openai.completion_writer import CompletionWriter
from inference_server.http.openai.plan import Wanted, fingerprint, generation_for
from inference_server.http.openai.protocol import CompletionRequest
from inference_server.http.openai.writer import Heading
from inference_server.prompts import prompt_to_continue
from inference_server.scheduling.stream import Generation
from inference_server.service import Service

DEFAULT_TOKENS = 16  # OpenAI's, for this route


def prepare_completion(
    service: Service, body: CompletionRequest
) -> tuple[list[Generation], CompletionWriter]:
    """Turn a request into rows and what writes their answers. Encodes text: run it off the event loop.

    Raises:
        BadRequest: a prompt that does not fit, a token id that the model does not have.
        NotFound: the request names a model that is not served.
    """
    model = service.models.resolve(body.model)
    tokenizer = service.engine.tokenizer
    wanted = Wanted(tokens=body.max_tokens or DEFAULT_TOKENS, logprobs=body.logprobs)
    generations = []
    for prompt in body.prompts:
        if not isinstance(prompt, str):
            service.require_known(list(prompt))
        continued = prompt_to_continue(prompt, tokenizer)
        generations.append(generation_for(service, body, continued, model, wanted))
    writer = CompletionWriter(
        Heading("cmpl", "text_completion", model.name, fingerprint(service, model)),
        tokenizer,
        [_text(prompt, tokenizer) if body.echo else "" for prompt in body.prompts],
        includes_usage=body.includes_usage,
        logprobs=body.logprobs is not None,
        choices=body.choices,
    )
    return generations, writer


def _text(prompt: str | Sequence[int], tokenizer: Tokenizer) -> str:
    if isinstance(prompt, str):
        return prompt
    stream = tokenizer.text_stream((), clean_up=False)
    return "".join([stream.push(token_id) for token_id in prompt] + [stream.flush()])
