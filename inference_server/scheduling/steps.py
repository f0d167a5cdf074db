"""Steps: what the engine's thread does between two looks at the queue. It owns the batch and its rows."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

from inference_server.engine import Engine, Grouped, KvUsage, NewRow, Outcome, Token, Whole
from inference_server.errors import EngineFailed, InternalError, RequestError, RequestTimeout
from inference_server.logs import place_of as place_of  # others import it from here
from inference_server.scheduling.row import Job, Row
from inference_server.scheduling.stream import Delta

_log = logging.getLogger(__name__)
_FAILURES_IN_A_ROW = 3  # so many steps without a single token: the engine is broken, not a row

Piece = tuple[Job, list[Delta], RequestError | None]
Pieces = list[Piece]


class Steps:
    """Admits jobs, makes steps, ends rows. advance() returns what the event loop has to hear."""

    def __init__(self, engine: Engine, max_rows: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._max_rows = max_rows
        self._clock = clock
        self._queue: deque[Job] = deque()
        self._rows: dict[int, tuple[Job, Row]] = {}
        self._failures = 0
        self.loaded = False  # set by the first row that is checked: engines have no batch before
        self.count = 0
        self.seconds = 0.0
        self.rows_stepped = 0

    @property
    def busy(self) -> bool:
        """Say whether there is anything to do."""
        return bool(self._queue or self._rows)

    @property
    def running(self) -> int:
        """Return how many rows are in the batch."""
        return len(self._rows)

    def revisions(self) -> frozenset[str]:
        """Return the adapter revisions of the rows in the batch. For the engine's thread."""
        return frozenset(row.new.adapter for _, row in self._rows.values())

    @property
    def kv(self) -> KvUsage:
        """Return the use of the memory for keys and values; nothing before the engine is loaded."""
        return self._engine.batch.usage() if self.loaded else KvUsage(0, 0)

    @property
    def grouped(self) -> bool:
        """Say whether the engine depends on other processes."""
        return isinstance(self._engine, Grouped) and self._engine.members > 1

    def beat(self) -> None:
        """Find out whether all processes of the engine are there; see engine.Grouped."""
        if isinstance(self._engine, Grouped) and self._engine.members > 1:
            self._engine.beat()

    def check(self, row: NewRow) -> None:
        """Pass if the engine could generate `row`; see Batch.check."""
        self.loaded = True
        self._engine.batch.check(row)

    def advance(self, arrived: Sequence[Job]) -> Pieces:
        """Take in what arrived, drop what left, admit what fits, and make one step.

        Raises:
            EngineFailed: nothing can be generated any more.
        """
        self._queue.extend(arrived)
        pieces: Pieces = []
        self._drop(pieces)
        self._admit(pieces)
        if self._rows:
            self._step(pieces)
        elif self.grouped:
            self.beat()
        return pieces

    def _drop(self, pieces: Pieces) -> None:
        now = self._clock()
        for job in {
            id(job): job for job in (*self._queue, *(job for job, _ in self._rows.values()))
        }.values():
            if job.cancelled:
                self._remove(job)
            elif now > job.deadline:
                self._remove(job)
                pieces.append((job, [], RequestTimeout.after(job.deadline - job.submitted)))

    def _admit(self, pieces: Pieces) -> None:
        """In order: a large request at the front is not overtaken, or it might wait for ever."""
        while self._queue:
            job = self._queue[0]
            while job.waiting:
                index, new = job.waiting[0]
                if len(self._rows) >= self._max_rows or not self._engine.batch.fits(new):
                    return
                job.waiting.pop(0)
                job.running.add(new.id)
                try:
                    row = Row(index, new, job.generation, self._engine.tokenizer)
                    self._engine.batch.add(new)
                except EngineFailed:
                    raise
                except Exception as error:  # noqa: BLE001 - one request's defect is not another's
                    self._remove(job)
                    pieces.append((job, [], _refusal(error)))
                    break
                self._rows[new.id] = (job, row)
            if self._queue and self._queue[0] is job:
                self._queue.popleft()

    def _step(self, pieces: Pieces) -> None:
        started = self._clock()
        try:
            outcomes = self._engine.batch.step()
        except EngineFailed:
            raise
        except Exception as error:  # noqa: BLE001 - one defect must not end every later request
            self._fail_all(error, pieces)
            return
        if any(isinstance(outcome, Token | Whole) for outcome in outcomes.values()):
            self._failures = 0
        self.count += 1
        self.rows_stepped += len(outcomes)
        self.seconds += self._clock() - started
        pieces += self._heard(outcomes)

    def _heard(self, outcomes: Mapping[int, Outcome]) -> Iterable[Piece]:
        """Turn what came of a step into what the jobs hear of it."""
        by_job: dict[int, Piece] = {}
        for row_id, outcome in outcomes.items():
            if row_id not in self._rows:
                continue
            job, row = self._rows[row_id]
            if isinstance(outcome, RequestError):
                self._remove(job)
                by_job[id(job)] = (job, by_job.get(id(job), (job, [], None))[1], outcome)
                continue
            deltas = by_job.setdefault(id(job), (job, [], None))[1]
            try:
                self._take(job, row, outcome, deltas)
            except EngineFailed:
                raise
            except Exception as error:  # noqa: BLE001 - one request's defect is not another's
                self._remove(job)
                by_job[id(job)] = (job, deltas, _refusal(error))
        return by_job.values()

    def _take(self, job: Job, row: Row, outcome: Token | Whole, deltas: list[Delta]) -> None:
        if isinstance(outcome, Whole):
            deltas += row.take_whole(outcome)
            over = True
        else:
            delta = row.take(outcome)
            deltas.append(delta)
            over = delta.finish is not None
        if over:
            self._engine.batch.remove(row.new.id)
            self._rows.pop(row.new.id, None)
            job.running.discard(row.new.id)

    def _remove(self, job: Job) -> None:
        for row_id in job.running:
            self._engine.batch.remove(row_id)
            self._rows.pop(row_id, None)
        job.running.clear()
        job.waiting.clear()
        if job in self._queue:
            self._queue.remove(job)

    def _fail_all(self, error: Exception, pieces: Pieces) -> None:
        """End every running request: which of them the engine stumbled over, nobody can tell here."""
        _log.error("a step failed", extra=place_of(error))
        self._failures += 1
        if self._failures >= _FAILURES_IN_A_ROW:
            raise EngineFailed(
                f"{self._failures} steps in a row failed with {type(error).__name__}; the log has the place"
            ) from error
        for job in {id(job): job for job, _ in self._rows.values()}.values():
            self._remove(job)
            pieces.append((job, [], _internal_error()))


def _refusal(error: Exception) -> RequestError:
    """Return what the one request is told that an exception belongs to."""
    if isinstance(error, RequestError):
        return error
    _log.error("a request failed inside the engine", extra=place_of(error))
    return _internal_error()


def _internal_error() -> InternalError:
    return InternalError("this request failed inside the engine; the log has the place")
