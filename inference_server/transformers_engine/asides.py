"""Asides: rows that the slab cannot serve run beside the batch, in the library's own generate().

These are rows of beams, and all rows of a model whose memory is not keys and values alone. Each has a thread
of its own, but never two of them compute at the same time: a thread gets one step of its generate() whenever
the batch gets one of its own, and stands still in between.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
import transformers
from typing_extensions import override

from inference_server.engine import NewRow, Outcome, Token, Whole
from inference_server.errors import BadRequest, InternalError, RequestError
from inference_server.logs import place_of
from inference_server.transformers_engine.failures import is_out_of_memory, raise_if_broken, too_large
from inference_server.transformers_engine.generating import generation_config, without_padding
from inference_server.transformers_engine.parts import Parts

_log = logging.getLogger(__name__)
_TURN_S = 3600.0  # no step takes that long; it only keeps a defect from hanging for ever without a word


class Asides:
    """The rows beside the batch, in the order in which they came.

    `all_rows`: there is no batch. `none`: the model is divided among processes, which follow the batch alone.
    """

    def __init__(self, parts: Parts, *, all_rows: bool, none: bool = False) -> None:
        self._parts = parts
        self._none = none
        self._all_rows = all_rows
        self._rows: dict[int, _Aside] = {}

    @property
    def count(self) -> int:
        """Return how many rows there are."""
        return len(self._rows)

    @property
    def tokens(self) -> int:
        """Return how many tokens of keys and values they may come to."""
        # A copy: metrics ask from another thread, and a row that joins meanwhile would break the walk.
        return sum(_tokens(aside.row) for aside in list(self._rows.values()))

    def takes(self, row: NewRow) -> bool:
        """Say whether a row belongs here."""
        return self._all_rows or row.sampling.num_beams > 1

    def check(self, row: NewRow) -> None:
        """Pass if generate() can do it.

        Raises:
            BadRequest: it cannot.
        """
        if self._none:
            raise BadRequest("this model runs on several nodes, where num_beams has to be 1")
        s = row.sampling
        penalties = s.presence_penalty or s.frequency_penalty
        if s.grammar or s.logprobs is not None or s.logit_bias or penalties:
            what = "num_beams above 1" if s.num_beams > 1 else "this kind of model"
            raise BadRequest(
                f"{what} goes with none of response_format, tools, logprobs, logit_bias, presence_penalty "
                "and frequency_penalty; leave them out"
            )

    def fits(self, row: NewRow, tokens: int) -> bool:
        """Say whether `tokens` are enough for one row more."""
        return self.tokens + _tokens(row) <= tokens

    def add(self, row: NewRow) -> None:
        """Take a row in; it starts with its first turn."""
        self._rows[row.id] = _Aside(row, self._parts)

    def remove(self, row_id: int) -> None:
        """Stop a row, and wait until its thread has ended."""
        aside = self._rows.pop(row_id, None)
        if aside is not None:
            aside.stop()

    def turn(self) -> Mapping[int, Outcome]:
        """Give each row one step."""
        outcomes: dict[int, Outcome] = {}
        for row_id, aside in list(self._rows.items()):
            outcome = aside.turn()
            if outcome is None:
                continue
            outcomes[row_id] = outcome
            if not isinstance(outcome, Token):
                self.remove(row_id)
        return outcomes


def _tokens(row: NewRow) -> int:
    return row.sampling.num_beams * (len(row.prompt) + row.sampling.max_new_tokens)


@dataclass
class _Baton:
    """Passed back and forth between the engine's thread and that of a row."""

    go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    back: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    stopped: bool = False


class _Aside:
    """One row in a thread of its own."""

    def __init__(self, row: NewRow, parts: Parts) -> None:
        self.row = row
        self._parts = parts
        self._baton = _Baton()
        self._eos = frozenset(() if row.sampling.ignore_eos else row.sampling.eos_token_ids or parts.eos)
        self._token: Token | None = None
        self._whole: Whole | None = None
        self._error: Exception | None = None
        self._thread: threading.Thread | None = None
        self._over = False  # the thread has ended: it would never hand the baton back again
        self._turns = _Turns(row, parts)

    def turn(self) -> Outcome | None:
        """Let the thread make one step, and return what came of it; None: nothing yet.

        Raises:
            EngineFailed: the device is lost.
        """
        if self._over:
            return InternalError("this answer ended before its time; send the request again")
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"aside-{self.row.id}", daemon=True)
            self._thread.start()
        self._baton.go.release()
        if not self._baton.back.acquire(timeout=_TURN_S):
            raise RuntimeError("a row beside the batch does not come back")
        if self._error is not None:
            return self._failure(self._error)
        token, self._token = self._token, None
        if self.row.sampling.num_beams > 1:
            return self._whole
        return token

    def stop(self) -> None:
        """End the thread at its next step."""
        self._baton.stopped = True
        if self._thread is not None and self._thread.is_alive():
            self._baton.go.release()
            self._thread.join(_TURN_S)

    def _failure(self, error: Exception) -> RequestError:
        raise_if_broken(error)
        if is_out_of_memory(error):
            return too_large(len(self.row.prompt))
        if isinstance(error, RequestError):
            return error
        # It is known whose it is: the other rows go on.
        _log.error("a row beside the batch failed", extra=place_of(error))
        return InternalError("this request failed inside the engine; the log has the place")

    def _run(self) -> None:
        self._baton.go.acquire()
        try:
            if not self._baton.stopped:
                with self._turns, torch.inference_mode():
                    self._generate()
        except Exception as error:  # noqa: BLE001 - the engine's thread raises it
            self._error = error
        self._over = True
        self._baton.back.release()

    def _generate(self) -> None:
        parts, sampling = self._parts, self.row.sampling
        prompt = torch.tensor([list(self.row.prompt)], dtype=torch.long, device=parts.model.device)
        output = parts.model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            generation_config=generation_config(sampling, tuple(self._eos), parts.pad),
            stopping_criteria=transformers.StoppingCriteriaList([_Steps(self)]),
        )
        rows = output[:, len(self.row.prompt) :].tolist()
        answers = (without_padding(row, self._eos, parts.pad) for row in rows)
        self._whole = Whole(tuple(tuple(Token(i, i in self._eos) for i in answer) for answer in answers))

    def step(self, last: int) -> bool:
        """Hand the baton back after a step that chose `last`, wait for the next turn; say whether to stop."""
        if self.row.sampling.num_beams == 1:
            self._token = Token(last, last in self._eos)
        with self._turns.paused():
            self._baton.back.release()
            self._baton.go.acquire()
        return self._baton.stopped


class _Turns(contextlib.AbstractContextManager["_Turns"]):
    """What holds only while a row has its turn: its adapter, and the generator that its seed began."""

    def __init__(self, row: NewRow, parts: Parts) -> None:
        rows = max(row.sampling.num_beams, row.sampling.num_return_sequences)
        self._revisions = [row.adapter] * rows
        self._adapters = parts.adapters
        self._seed = row.sampling.seed
        self._own = _rng_state() if self._seed is not None else None
        self._others = self._own
        self._selection: contextlib.AbstractContextManager[None] = contextlib.nullcontext()

    @override
    def __enter__(self) -> _Turns:
        if self._seed is not None:
            self._others = _rng_state()
            torch.manual_seed(self._seed)
        self._select()
        return self

    @override
    def __exit__(self, *_: object) -> None:
        self._selection.__exit__(None, None, None)
        if self._others is not None:
            _set_rng_state(self._others)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Leave everything to the others, and take it back."""
        if self._seed is not None:
            self._own = _rng_state()
        self.__exit__()
        yield
        if self._own is not None:
            self._others = _rng_state()
            _set_rng_state(self._own)
        self._select()

    def _select(self) -> None:
        self._selection = self._adapters.use(self._revisions)
        self._selection.__enter__()


class _Steps(transformers.StoppingCriteria):  # type: ignore[misc] # the library has no types
    """Called by the library after every step."""

    def __init__(self, aside: _Aside) -> None:
        self._aside = aside

    @override
    def __call__(self, input_ids: torch.Tensor, scores: object, **_: object) -> torch.Tensor:
        stop = self._aside.step(int(input_ids[0, -1]))
        return torch.full((input_ids.shape[0],), stop, dtype=torch.bool, device=input_ids.device)


def _rng_state() -> list[torch.Tensor]:
    """Return the state of the generators of the CPU and of every GPU."""
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if torch.cuda.is_available() else ())]


def _set_rng_state(state: list[torch.Tensor]) -> None:
    torch.set_rng_state(state[0])
    if state[1:]:
        torch.cuda.set_rng_state_all(state[1:])
