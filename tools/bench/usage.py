"""What a process has used: CPU seconds and memory, from /proc."""

import os
from dataclasses import dataclass
from pathlib import Path

CLOCK_TICK_HZ = os.sysconf("SC_CLK_TCK")
KIB_PER_MIB = 1024


@dataclass(frozen=True)
class Usage:
    """One process at one moment.

    Attributes:
        cpu_s: CPU seconds since it began, user and system.
        rss_mib: memory that it holds now.
        peak_mib: the most that it has held.
    """

    cpu_s: float
    rss_mib: float
    peak_mib: float


def parse(stat: str, status: str) -> Usage:
    """Read /proc/PID/stat and /proc/PID/status, see proc(5).

    The program's name in stat, in parentheses, may itself hold spaces and parentheses.
    """
    fields = stat.rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])  # utime and stime, which proc(5) counts as 14 and 15
    lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    now, peak = (int(lines[name].split()[0]) / KIB_PER_MIB for name in ("VmRSS", "VmHWM"))
    return Usage(ticks / CLOCK_TICK_HZ, now, peak)


def usage(pid: int) -> Usage:
    """Look at a process.

    Raises:
        OSError: there is none.
    """
    folder = Path("/proc") / str(pid)
    return parse((folder / "stat").read_text(), (folder / "status").read_text())
