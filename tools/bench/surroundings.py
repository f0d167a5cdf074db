"""The machine and the other processes that a run shares it with."""

import os
import platform
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from tools.bench.result import Machine
from tools.bench.usage import usage
from tools.localcluster import Cluster

GIB: Final = 1024**3
OURSELVES: Final = "benchmark"
"""This process: client, simulated cloud, nodes and kubelets."""


def machine(cluster: Cluster) -> Machine:
    """Say where and when this is."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    cores = len(os.sched_getaffinity(0))
    day = datetime.now(UTC).date().isoformat()
    version = cluster.status().kubernetes
    return Machine(cores, round(pages / GIB), version, platform.python_version(), day)


def daemons(cluster: Cluster) -> dict[str, int]:
    """The pids of the cluster's own processes, by name."""
    return {process.name: process.pid for process in cluster.status().processes if process.pid}


def cpu_seconds(pids: dict[str, int]) -> dict[str, float]:
    """What processes and this one have used so far, by name; one that is gone is left out."""
    found = {OURSELVES: time.process_time()}
    for name, pid in pids.items():
        with suppress(OSError):
            found[name] = usage(pid).cpu_s
    return found


def used_between(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """CPU seconds by name of what was there at both moments."""
    return {name: after[name] - seconds for name, seconds in before.items() if name in after}
