"""What a process remembers of its own requests. All of it may be lost at any moment and is found again."""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from kaito_operator.provisioner import faults
from kaito_operator.provisioner.decision import Trouble
from kaito_operator.provisioner.faults import Fault


@dataclass
class _Held:
    fault: Fault
    until: float
    times: int


@dataclass
class Troubles:
    """Requests that did not work, by what they were about, each with the pause before the next try.

    Attributes:
        base_s: the shortest pause after a collision with another operation of the cluster.
        spread: a factor from 1 to 4, so that claims that collided do not come back in step.
    """

    base_s: float
    spread: Callable[[], float]
    clock: Callable[[], float] = monotonic
    _held: dict[str, _Held] = field(default_factory=dict, init=False)

    def note(self, about: str, fault: Fault) -> float:
        """Remember a failure. Returns the pause in seconds."""
        old = self._held.get(about)
        times = old.times + 1 if old and old.fault.reason == fault.reason else 1
        pause = max(self._pause(fault, times), fault.retry_after_s or 0.0)
        self._held[about] = _Held(fault, self.clock() + pause, times)
        return pause

    def of(self, about: str) -> Trouble | None:
        """The latest failure, or None when the latest request worked."""
        held = self._held.get(about)
        return Trouble(held.fault, max(held.until - self.clock(), 0.0)) if held else None

    def clear(self, about: str) -> None:
        """The latest request worked, or nobody asks any more."""
        self._held.pop(about, None)

    def _pause(self, fault: Fault, times: int) -> float:
        match fault.reason:
            case faults.BUSY:
                return self.base_s * self.spread()
            case faults.DOWN:
                return min(self.base_s / 8 * 2.0 ** min(times, 10), self.base_s * 4)
            case faults.THROTTLED:
                return self.base_s * 2 if fault.retry_after_s is None else 0.0
        return self.base_s * 4  # identity, missing cluster, limits: a person has to act
