"""Weights that are still a file: the library maps them into memory, and copies only what changes its type.

Left so, the first answers would read them from disk, and a pod's limit would count them as cache that can
go: the memory for keys and values would be planned too large, and the weights be read again and again.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any


def mapped_ranges(maps: str, paths: Collection[str]) -> list[tuple[int, int]]:
    """Return the address ranges of these files, from the text of /proc/self/maps, in order."""
    found = []
    for line in maps.splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and fields[5] in paths:
            low, _, high = fields[0].partition("-")
            found.append((int(low, 16), int(high, 16)))
    return sorted(found)


def inside(address: int, ranges: list[tuple[int, int]]) -> bool:
    """Say whether an address lies in one of the ranges, which are in order."""
    at = bisect.bisect_right(ranges, (address, 2**64)) - 1
    return at >= 0 and address < ranges[at][1]


def copy_out(
    model: Any,  # noqa: ANN401 - the library has no types
    files: Collection[Path],
    maps: str,
    copied: Callable[[int], None],
) -> int:
    """Replace every parameter that lies in one of `files` by a copy; return how many bytes were copied.

    `maps` is the text of /proc/self/maps. `copied` is told the bytes of each parameter. At no time is more
    than one of them twice in memory.
    """
    ranges = mapped_ranges(maps, {str(path.resolve()) for path in files})
    total = 0
    for parameter in model.parameters():
        if parameter.device.type == "cpu" and inside(parameter.data_ptr(), ranges):
            parameter.data = parameter.data.clone()
            total += parameter.nbytes
            copied(parameter.nbytes)
    return total
