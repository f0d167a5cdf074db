"""Service: what the routes share. One engine, its health, its queue, its metrics."""

from __future__ import annotations

import logging
import threading
import time

from inference_server.engine import Engine, GenerationResult, Phase, Sampling
from inference_server.errors import BadRequest, ModelTooLarge, OutOfMemory, ProcessError
from inference_server.generation_queue import GenerationQueue
from inference_server.health import Health
from inference_server.lengths import Wish, plan_lengths
from inference_server.metrics import Metrics
from inference_server.options import ServerOptions
from inference_server.prompts import Prompt, prompt_from_messages, prompt_from_text, template_markers
from inference_server.protocol import ChatRequest, GenerateKwargs
from inference_server.termination import write_termination_log

_log = logging.getLogger(__name__)
_WARMUP_TEXT = "Hello"


class Service:
    """The server without its sockets. load() blocks and belongs to a thread; the rest to the event loop."""

    def __init__(self, options: ServerOptions, engine: Engine) -> None:
        self._options = options
        self._engine = engine
        self._markers: frozenset[str] = frozenset()
        self.health = Health(options.model_name)
        self.queue = GenerationQueue(engine, options.max_queue, self._engine_failed)
        self.metrics = Metrics(options.model_name, self.health, lambda: self.queue.depth)

    def load(self) -> None:
        """Load the engine and generate one token; only then the service is ready.

        Raises:
            ProcessError: with cause and next action; health says failed by then.
        """
        try:
            self._engine.load(self._enter)
            self._enter(Phase.WARMUP)
            self._markers = template_markers(self._engine.tokenizer)
            self._warm_up()
        except ProcessError as error:
            self.health.fail(str(error))
            raise
        except Exception as error:
            self.health.fail(f"{type(error).__name__} while loading; the log has the traceback")
            raise
        self.health.enter(Phase.READY)
        _log.info("ready", extra={"seconds": round(self.health.load_seconds or 0.0, 2)})

    def prepare(self, request: ChatRequest) -> tuple[Prompt, Sampling]:
        """Turn a request into what the engine takes. Encodes text: run it off the event loop.

        Raises:
            BadRequest: no prompt, one that does not fit, messages that the template refuses, a token id
                that the model does not have.
        """
        prompt = self._prompt(request)
        kwargs = request.generate_kwargs or GenerateKwargs()
        wish = Wish(
            max_length=kwargs.max_length,
            max_new_tokens=kwargs.max_new_tokens,
            min_length=kwargs.min_length,
            cut_prompt=request.handle_long_generation == "hole",
        )
        lengths = plan_lengths(len(prompt.token_ids), wish, self._engine.context_tokens)
        self._require_known([*(kwargs.eos_token_id or ()), *filter(None, [kwargs.pad_token_id])])
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
            num_return_sequences=kwargs.num_return_sequences,
            eos_token_ids=tuple(kwargs.eos_token_id or ()),
            pad_token_id=kwargs.pad_token_id,
            seed=kwargs.seed,
            stop=kwargs.stop_texts,
            clean_up_tokenization_spaces=bool(request.clean_up_tokenization_spaces),
        )
        return Prompt(prompt.token_ids[-lengths.keep :], prompt.text), sampling

    def result_text(self, request: ChatRequest, prompt: Prompt, result: GenerationResult) -> str:
        """Write the answers as `Result`, one below the other if there are several.

        With return_full_text the user's prompt stands before each; models without chat template do so
        unless told otherwise, for their answer continues the prompt.
        """
        full = request.return_full_text
        if full is None:
            full = not self._engine.tokenizer.has_chat_template
        before = prompt.text if full else ""
        return "\n".join(before + answer.text for answer in result.answers)

    async def generate(self, prompt: Prompt, sampling: Sampling) -> GenerationResult:
        """Wait for the turn and generate; see GenerationQueue.submit for the errors."""
        result = await self.queue.submit(prompt.token_ids, sampling)
        self.metrics.count_tokens(result.prompt_tokens, result.generated_tokens)
        return result

    def gpus(self) -> list[dict[str, object]]:
        """Return the engine's GPUs in the shape of v0.3.0's metrics; none before it is loaded."""
        return self.metrics.gpu_entries(self._engine.gpus()) if self.health.load_seconds is not None else []

    def _prompt(self, request: ChatRequest) -> Prompt:
        if request.prompt:
            return prompt_from_text(
                request.prompt, request.prefix or "", self._engine.tokenizer, self._markers
            )
        if request.messages:
            messages = [message.model_dump() for message in request.messages]
            return prompt_from_messages(messages, self._engine.tokenizer)
        if request.prompt is None and request.messages is not None:
            raise BadRequest("Conversational parameter messages required")
        raise BadRequest("Text generation parameter prompt required")

    def _require_known(self, token_ids: list[int]) -> None:
        size = self._engine.vocabulary_size
        for token_id in token_ids:
            if token_id >= size:
                raise BadRequest(f"token id {token_id} does not exist; this model has ids 0 to {size - 1}")

    def _warm_up(self) -> None:
        prompt = self._engine.tokenizer.encode(_WARMUP_TEXT, add_special_tokens=True)
        try:
            self._engine.generate(prompt, Sampling(max_new_tokens=1, do_sample=False), threading.Event())
        except OutOfMemory as error:
            raise ModelTooLarge(
                "the weights leave no memory for a single token; choose an instanceType with more memory"
            ) from error

    def _enter(self, phase: Phase) -> None:
        self.health.enter(phase)
        _log.info("loading", extra={"phase": str(phase), "monotonic_s": round(time.monotonic(), 2)})

    def _engine_failed(self, error: str) -> None:
        self.health.fail(error)
        write_termination_log(self._options.termination_log, "EngineFailed", error)
        _log.error("engine failed", extra={"error": error})
