"""How hard Azure is worked: a window of writes at once, and a gate that a Retry-After closes for all.

The window is halved by a 409 and grows with each success, up to four. AKS may serialise the operations of a
cluster; while the window is not fully open, pools that are still in motion count as writes under way, so
that a busy cluster is not asked again and again.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

MOST: Final = 4


@dataclass
class Operations:
    """Admits writes to Azure.

    Attributes:
        wake: called with a key that may try again.
        moving: how many pools of ours Azure is working on.
        clock: monotonic seconds.
        window: writes that may be under way at once.
    """

    wake: Callable[[tuple[str, str]], None]
    moving: Callable[[], int]
    clock: Callable[[], float] = monotonic
    window: float = float(MOST)
    _under_way: int = field(default=0, init=False)
    _open_at: float = field(default=float("-inf"), init=False)
    _waiting: dict[tuple[str, str], None] = field(default_factory=dict, init=False)

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def gate_s(self) -> float:
        """Seconds for which nothing is asked of Azure at all."""
        return max(self._open_at - self.clock(), 0.0)

    def begin(self, key: tuple[str, str]) -> bool:
        """Take a place; False: the key is woken when there may be one. `end` gives the place back."""
        if self.gate_s > 0 or self._busy() >= int(self.window):
            self._waiting[key] = None
            return False
        self._waiting.pop(key, None)
        self._under_way += 1
        return True

    def end(self) -> None:
        """Give a place back."""
        self._under_way -= 1
        self.changed()

    def changed(self) -> None:
        """There may be room: wake as many as would fit, first come first."""
        free = int(self.window) - self._busy()
        for key in list(self._waiting)[: max(free, 0)]:
            del self._waiting[key]
            self.wake(key)

    def succeeded(self) -> None:
        """Azure took a write."""
        self.window = min(self.window + 1.0 / self.window, float(MOST))

    def collided(self) -> None:
        """Azure is busy with another operation."""
        self.window = max(self.window / 2.0, 1.0)

    def close_for(self, seconds: float) -> None:
        """Azure asks for a pause."""
        self._open_at = max(self._open_at, self.clock() + seconds)

    def _busy(self) -> int:
        # A write that is answered is in motion; while it is under way it is not yet.
        return self._under_way + (self.moving() if self.window < MOST else 0)
