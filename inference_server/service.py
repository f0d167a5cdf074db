"""Service: what the routes share. One engine, its health, its scheduler, its models, its metrics."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import time
from dataclasses import replace

from inference_server.adapters.manager import AdapterManager
from inference_server.engine import BASE, Engine, NewRow, Phase, Sampling
from inference_server.errors import (
    BadRequest,
    EngineFailed,
    ModelTooLarge,
    NotReady,
    OutOfMemory,
    ProcessError,
)
from inference_server.health import Health
from inference_server.metrics import Metrics
from inference_server.models import Models
from inference_server.options import ServerOptions
from inference_server.prompts import Prompt, template_markers
from inference_server.scheduling.scheduler import Limits, Scheduler
from inference_server.scheduling.stream import Generation, Stream
from inference_server.termination import write_termination_log

_log = logging.getLogger(__name__)
_WARMUP_TEXT = "Hello"
_CLOSE_S = 5.0
_SEEDS = 2**63  # generators take no larger ones
_CONTEXT_FOR_DECODING = 8  # tokens before the answer that decide whether it begins with a space


class Service:
    """The server without its sockets. load() blocks and belongs to a thread; the rest to the event loop."""

    def __init__(self, options: ServerOptions, engine: Engine) -> None:
        self.options = options
        self.engine = engine
        self.markers: frozenset[str] = frozenset()
        self.health = Health(options.model_name, expected_s=options.expected_load_seconds)
        self.models = Models(options.public_name, options.model_name)
        limits = Limits(options.rows, options.max_queue, options.request_timeout)
        self.scheduler = Scheduler(engine, limits, self._engine_failed)
        self.adapters = AdapterManager(options, engine, self.scheduler, self.models)
        self.metrics = Metrics(options.model_name, self.health, self.scheduler, self.adapters.counts)
        self.broken = asyncio.Event()  # set when the engine is: the process has to end then
        self._ids = itertools.count(1)

    def load(self) -> None:
        """Load the engine and generate one token; only then the service can answer.

        Raises:
            ProcessError: with cause and next action; health says failed by then.
        """
        try:
            self.engine.load(self._enter)
            self._enter(Phase.WARMUP)
            self.markers = template_markers(self.engine.tokenizer)
            self._warm_up()
        except ProcessError as error:
            self.health.fail(str(error))
            raise
        except Exception as error:
            self.health.fail(f"{type(error).__name__} while loading; the log has the traceback")
            raise

    async def start(self) -> None:
        """Load adapters, and say that requests are answered from now on, once load() has returned."""
        self.scheduler.begin()
        if self.adapters.expected:
            self._enter(Phase.ADAPTERS)
        await self.adapters.start()
        self.health.enter(Phase.READY)
        _log.info("ready", extra={"seconds": round(self.health.load_seconds or 0.0, 2)})

    async def stop(self) -> None:
        """Let the engine end what it started besides this process."""
        await self.adapters.stop()
        if not self.broken.is_set() and self.health.load_seconds is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.scheduler.between_steps(self.engine.close), _CLOSE_S)

    def generation(
        self,
        prompt: Prompt,
        sampling: Sampling,
        answers: int,
        revision: str = BASE,
        *,
        keep_special: bool = False,
    ) -> Generation:
        """Make the rows of one request. Each has a seed of its own, counted up from the request's."""
        self.require_known(
            [*sampling.eos_token_ids, *sampling.logit_bias, *filter(None, [sampling.pad_token_id])]
        )
        group = next(self._ids)
        beams = sampling.num_beams > 1
        rows = tuple(
            NewRow(
                id=next(self._ids),
                group=group,
                prompt=prompt.token_ids,
                sampling=replace(
                    sampling,
                    num_return_sequences=answers if beams else 1,
                    seed=None if sampling.seed is None else (sampling.seed + index) % _SEEDS,
                ),
                adapter=revision,
            )
            for index in range(1 if beams else answers)
        )
        context = () if prompt.templated else prompt.token_ids[-_CONTEXT_FOR_DECODING:]
        return Generation(rows, context, keep_special)

    def submit(self, generation: Generation) -> Stream:
        """Queue a request; see Scheduler.submit for the errors. Whoever reads the stream accounts for it.

        Raises:
            NotReady: its adapter was unloaded since it was prepared.
        """
        if not all(self.adapters.accepts(row.adapter) for row in generation.rows):
            raise NotReady("this adapter was replaced just now; send the request again", retry_after_s=1)
        return self.scheduler.submit(generation)

    def account(self, stream: Stream) -> None:
        """Count the tokens and the times of a stream that is over, however it ended."""
        self.metrics.count_stream(stream)

    def gpus(self) -> list[dict[str, object]]:
        """Return the engine's GPUs in the shape of v0.3.0's metrics; none before it is loaded."""
        return self.metrics.gpu_entries(self.engine.gpus()) if self.health.load_seconds is not None else []

    def adapters_state(self) -> dict[str, object]:
        """Return the body of GET /adapters; without names of engine and notes before the model is loaded."""
        loaded = self.health.load_seconds is not None
        return {
            "generation": self.adapters.generation,
            "engine": self.engine.kind if loaded else "",
            "notes": [*(self.engine.notes if loaded else ()), *self.adapters.notes],
            "adapters": self.adapters.bodies(),
        }

    def require_known(self, token_ids: list[int]) -> None:
        """Pass if the model has every one of `token_ids`.

        Raises:
            BadRequest: it has not; a library would fail on it, or worse, not fail.
        """
        size = self.engine.vocabulary_size
        for token_id in token_ids:
            if not 0 <= token_id < size:
                raise BadRequest(f"token id {token_id} does not exist; this model has ids 0 to {size - 1}")

    def _warm_up(self) -> None:
        # A tokenizer of few words may make nothing of the text; any token does.
        prompt = tuple(self.engine.tokenizer.encode(_WARMUP_TEXT, add_special_tokens=True)) or (0,)
        row = NewRow(id=0, group=0, prompt=prompt, sampling=Sampling(max_new_tokens=1, do_sample=False))
        batch = self.engine.batch
        batch.add(row)
        try:
            while not (outcomes := batch.step()):
                continue
        finally:
            batch.remove(row.id)
        if isinstance(outcomes[row.id], OutOfMemory):
            raise ModelTooLarge(
                "the weights leave no memory for a single token; choose an instanceType with more memory"
            )
        if isinstance(outcome := outcomes[row.id], Exception):
            raise EngineFailed(f"the first token could not be generated: {outcome}")

    def _enter(self, phase: Phase, done: float | None = None) -> None:
        if self.health.enter(phase, done):
            _log.info("loading", extra={"phase": str(phase), "monotonic_s": round(time.monotonic(), 2)})

    def _engine_failed(self, error: str) -> None:
        self.health.fail(error)
        write_termination_log(self.options.termination_log, "EngineFailed", error)
        _log.error("engine failed", extra={"error": error})
        self.broken.set()
