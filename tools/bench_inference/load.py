"""A closed loop: so many clients, each of which sends its next request when its last is answered."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

from tools.bench.chronicle import percentile
from tools.bench.errors import BenchError
from tools.bench_inference.answers import Answer, Body
from tools.bench_inference.client import ask, succeeded

SLOWEST_TOKENS_PER_S = 2.0
"""Bounds a measurement: a server slower than this, all clients together, is given up."""
_START_S = 60.0


@dataclass(frozen=True)
class Load:
    """What the clients saw of one measurement.

    Attributes:
        requests: that were answered.
        tokens: new ones, of all answers together.
        seconds: from the first request to the last answer's end.
        first_s: time to the first text of each request, in seconds.
        early: answers that ended before the tokens that were asked for.
    """

    requests: int
    tokens: int
    seconds: float
    first_s: tuple[float, ...]
    early: int

    @property
    def tokens_per_s(self) -> float:
        """New tokens per second, of all clients together."""
        return self.tokens / self.seconds

    @property
    def first_p95_s(self) -> float:
        """Time to the first text, 95th percentile."""
        return percentile(self.first_s, 0.95)


async def drive(
    port: int, path: str, body: Body, texts: Sequence[str], *, clients: int, max_tokens: int
) -> Load:
    """Send every text once, `clients` at a time.

    Raises:
        BenchError: a request failed, or all took too long.
    """
    waiting = iter(texts)
    answers: list[Answer] = []

    async def client() -> None:
        for text in waiting:
            answers.append(succeeded(await ask(port, path, body(text, max_tokens))))

    limit_s = _START_S + len(texts) * max_tokens / SLOWEST_TOKENS_PER_S
    began = monotonic()
    try:
        async with asyncio.timeout(limit_s), asyncio.TaskGroup() as group:
            for _ in range(min(clients, len(texts))):
                group.create_task(client())
    except TimeoutError:
        raise BenchError(f"{len(texts)} requests were not answered within {limit_s:.0f} s") from None
    except BaseExceptionGroup as failures:
        raise _first(failures) from None
    return summary(answers, max_tokens, monotonic() - began)


def summary(answers: Sequence[Answer], max_tokens: int, seconds: float) -> Load:
    """Put answers together that came within `seconds`.

    Raises:
        BenchError: an answer is empty.
    """
    if any(not answer.moments_s for answer in answers):
        raise BenchError("a server gave an empty answer; there is no first token to measure")
    tokens = [answer.tokens(max_tokens) for answer in answers]
    first = tuple(answer.moments_s[0] for answer in answers)
    return Load(len(answers), sum(tokens), seconds, first, sum(number < max_tokens for number in tokens))


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error of a group; an OSError becomes one that says what to do."""
    error = failures.exceptions[0]
    if isinstance(error, OSError):
        return BenchError(f"a server does not listen any more ({error}). Its log has the cause.")
    return error
