"""One row of the table of reasons."""

from dataclasses import dataclass
from typing import Literal

Phase = Literal[
    "Launching", "Joining", "Scheduling", "Starting", "Loading", "Updating", "Ready", "Blocked", "Deleting"
]


@dataclass(frozen=True)
class Reason:
    """A code, and what is said under it.

    Attributes:
        code: goes into conditions, `status.blockedOn` and Events.
        phase: that the Workspace is in; Blocked when a person has to act.
        sentence, next_action: with named holes.
    """

    code: str
    phase: Phase
    sentence: str
    next_action: str


def waiting(code: str, phase: Phase, sentence: str, next_action: str) -> Reason:
    """Nothing is wrong: time will do."""
    return Reason(code, phase, sentence, next_action)


def blocked(code: str, sentence: str, next_action: str) -> Reason:
    """Waiting alone will not help."""
    return Reason(code, "Blocked", sentence, next_action)
