"""The rest of a decision waits."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Pause:
    """Until an event, or for at most so many seconds; None leaves that to the decision."""

    seconds: float | None = None
