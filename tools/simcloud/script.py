"""The script: which behaviours wait for which pool, VM size, or anything; and how one is written as text."""

import inspect
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from tools.simcloud import behaviours as steps
from tools.simcloud.behaviours import Behaviour, Verb
from tools.simcloud.errors import SimCloudError

ANYTHING: Final = "*"
"""Matches every request, also those that name no pool: lists, SKUs, usages, tokens."""

BEHAVIOURS: Mapping[str, Callable[..., Behaviour]] = MappingProxyType(
    {
        make.__name__: make
        for make in (
            steps.cluster_missing,
            steps.dies,
            steps.dropped,
            steps.evicted,
            steps.failed,
            steps.forbidden,
            steps.in_progress,
            steps.never_joins,
            steps.no_capacity,
            steps.not_registered,
            steps.pool_limit_reached,
            steps.quota_exceeded,
            steps.server_error,
            steps.sku_not_available,
            steps.slow,
            steps.slow_delete,
            steps.stalled,
            steps.subnet_full,
            steps.throttled,
            steps.token_refused,
            steps.unauthorized,
            steps.upgraded,
        )
    }
)


class Script:
    """Queues of behaviours, one for each match."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[Behaviour]] = {}

    def add(self, match: str, behaviours: Iterable[Behaviour]) -> None:
        """Put behaviours at the end of a match's queue.

        Args:
            match: a pool's name, a VM size, or ``*``. Case does not matter.
            behaviours: in the order of their use.
        """
        self._queues.setdefault(match.lower(), deque()).extend(behaviours)

    def take(self, verb: Verb, *names: str) -> Behaviour | None:
        """Use the first behaviour that waits for such a request; the first of the names that has one wins.

        Only the head of a queue can be used: the order is part of the script.

        Args:
            verb: the kind of the request.
            names: what the request is about, the most special first; ``*`` is always tried last.
        """
        for name in (*names, ANYTHING):
            queue = self._queues.get(name.lower())
            if queue and verb in queue[0].on:
                return _use(queue)
        return None


def _use(queue: deque[Behaviour]) -> Behaviour:
    head = queue.popleft()
    if head.times is None:
        queue.appendleft(head)
    elif head.times > 1:
        queue.appendleft(replace(head, times=head.times - 1))
    return head


def parse(text: str) -> tuple[str, Behaviour]:
    """Read ``MATCH=BEHAVIOUR``, such as ``ws123=slow:20`` or ``Standard_X=quota_exceeded:late=1!``.

    After a colon come the behaviour's arguments, separated by commas; a ``!`` at the end makes it last for
    ever.

    Raises:
        SimCloudError: no such behaviour, or not its arguments.
    """
    match, _, rest = text.partition("=")
    named, _, given = rest.removesuffix("!").partition(":")
    make = BEHAVIOURS.get(named)
    if not match or make is None:
        raise SimCloudError(
            f"{text!r} is not MATCH=BEHAVIOUR: MATCH is a pool, a VM size or *, BEHAVIOUR one of "
            f"{', '.join(BEHAVIOURS)}."
        )
    parts = [part.partition("=") for part in given.split(",") if part]
    positional = [_value(name) for name, equals, _ in parts if not equals]
    named_ones = {name: _value(value) for name, equals, value in parts if equals}
    try:
        bound = inspect.signature(make).bind(*positional, **named_ones)
        if not all(_fits(make, name, value) for name, value in bound.arguments.items()):
            raise TypeError
    except TypeError:
        raise SimCloudError(
            f"{text!r} has arguments that do not fit: {named} takes {inspect.signature(make)}, "
            "written as in throttled:3 or failed:code=Oops."
        ) from None
    behaviour = make(*bound.args, **bound.kwargs)
    return match, behaviour.always() if rest.endswith("!") else behaviour


def _fits(make: Callable[..., Behaviour], name: str, value: float | str) -> bool:
    """Say whether a value is of the kind that the parameter wants; sets of verbs cannot be written."""
    wanted = str(inspect.signature(make).parameters[name].annotation)
    if "Iterable" in wanted:
        return False
    return isinstance(value, str) == ("str" in wanted)


def _value(text: str) -> float | str:
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if number.is_integer() else number
