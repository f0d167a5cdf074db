"""What the operator wants on the disk: the text of adapters.json, checked."""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass

DESIRED_FILE = "adapters.json"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")  # it becomes a folder's name


class DesiredInvalid(ValueError):  # noqa: N818 - said as a cause
    """The text is not a list of adapters. Says what is wrong and where."""


@dataclass(frozen=True)
class DesiredAdapter:
    """One adapter of the list; `in_pod` says that the kubelet has put it into the pod already."""

    name: str
    image: str
    strength: float
    in_pod: bool = False


@dataclass(frozen=True)
class Desired:
    """The whole list. `generation` is the sha256 of its text, 64 hex digits."""

    generation: str
    combination: str
    adapters: tuple[DesiredAdapter, ...]


def parse_desired(text: str) -> Desired:
    """Read the text of adapters.json. Keys that are not known are passed over: a newer operator wrote them.

    Raises:
        DesiredInvalid: see there. One bad entry refuses it all, since half a list would unload adapters.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DesiredInvalid(f"it is not JSON ({type(error).__name__})") from None
    adapters = content.get("adapters") if isinstance(content, dict) else None
    if not isinstance(adapters, list):
        raise DesiredInvalid("it has no list 'adapters'")
    combination = content.get("combination", "cat")
    if not isinstance(combination, str) or not combination:
        raise DesiredInvalid("'combination' is not a text")
    found = tuple(_adapter(index, item) for index, item in enumerate(adapters))
    if len({adapter.name for adapter in found}) < len(found):
        raise DesiredInvalid("two adapters have the same name")
    return Desired(hashlib.sha256(text.encode()).hexdigest(), combination, found)


def _adapter(index: int, item: object) -> DesiredAdapter:
    where = f"adapters[{index}]"
    if not isinstance(item, dict):
        raise DesiredInvalid(f"{where} is not an object")
    name, image, in_pod = item.get("name"), item.get("image", ""), item.get("inPod", False)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise DesiredInvalid(f"{where}.name is not a DNS name in lower case")
    if not isinstance(image, str):
        raise DesiredInvalid(f"{where}.image is not a text")
    if not isinstance(in_pod, bool):
        raise DesiredInvalid(f"{where}.inPod is neither true nor false")
    return DesiredAdapter(name, image, _strength(where, item.get("strength", 1)), in_pod)


def _strength(where: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise DesiredInvalid(f"{where}.strength is not a number")
    try:
        strength = float(value)
    except (ValueError, OverflowError):
        raise DesiredInvalid(f"{where}.strength is not a number") from None
    if not math.isfinite(strength):
        raise DesiredInvalid(f"{where}.strength is not finite")
    return strength
