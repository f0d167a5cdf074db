"""Wait for a condition, with a deadline."""

import time
from collections.abc import Callable

from tools.localcluster.errors import ClusterError

POLL_S = 0.05


def wait_until(condition: Callable[[], bool], deadline_s: float, what: str) -> None:
    """Poll a condition until it holds; ClusterError when it does not within the deadline."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise ClusterError(f"Waited {deadline_s:.0f} s in vain for {what}.")
        time.sleep(POLL_S)
