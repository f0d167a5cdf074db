"""The two files through which this program and the server meet. Standard library only: both import it.

`state.json` is written here and read by the server. `in-use.json` goes the other way. Both lie in the volume
that the two containers share, and are replaced whole by a rename, so a reader never sees half of one.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

STATE_FILE = "state.json"
IN_USE_FILE = "in-use.json"


class PullState(StrEnum):
    """How far an adapter is on its way to the disk."""

    PULLING = "Pulling"
    PULLED = "Pulled"
    FAILED = "Failed"
    DENIED = "Denied"


class StateInvalid(ValueError):  # noqa: N818 - named like the reasons that it becomes
    """A file that the other program wrote does not hold what it should."""


@dataclass(frozen=True)
class LiveAdapter:
    """One adapter of the list.

    `digest` ("sha256:...") and `path` (a folder) are empty until a copy is on the disk. `reason` is one word
    in CamelCase, and `message` a sentence with the cause and the next action; both empty when all is well.
    """

    name: str
    image: str
    strength: float
    digest: str = ""
    path: str = ""
    state: PullState = PullState.PULLING
    reason: str = ""
    message: str = ""


@dataclass(frozen=True)
class LiveState:
    """Everything in state.json.

    `generation` is the sha256 of the text of adapters.json that this list comes from. `error` says why a
    newer text is not followed; it is empty while there is none.
    """

    generation: str = ""
    combination: str = "cat"
    adapters: tuple[LiveAdapter, ...] = ()
    error: str = ""

    def render(self) -> str:
        """Return the text of state.json."""
        return json.dumps(asdict(self), indent=1) + "\n"


@dataclass(frozen=True)
class InUse:
    """The folders that the server reads or will read: no other program may delete them."""

    paths: frozenset[str] = frozenset()

    def render(self) -> str:
        """Return the text of in-use.json."""
        return json.dumps({"paths": sorted(self.paths)}) + "\n"


def parse_state(text: str) -> LiveState:
    """Read the text of state.json. Keys that are not known are passed over.

    Raises:
        StateInvalid: it is no JSON, or something in it is missing or of another type.
    """
    content = _json_object(text, STATE_FILE)
    adapters = content.get("adapters")
    if not isinstance(adapters, list):
        raise StateInvalid(f"{STATE_FILE} has no list 'adapters'")
    return LiveState(
        _text(content, "generation"),
        _text(content, "combination", "cat"),
        tuple(_adapter(item) for item in adapters),
        _text(content, "error", ""),
    )


def parse_in_use(text: str) -> InUse:
    """Read the text of in-use.json.

    Raises:
        StateInvalid: it is no JSON, or has no list of texts `paths`.
    """
    paths = _json_object(text, IN_USE_FILE).get("paths")
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise StateInvalid(f"{IN_USE_FILE} has no list of texts 'paths'")
    return InUse(frozenset(paths))


def replace_file(path: Path, text: str) -> None:
    """Write `text` to `path` in one step: readers see the old text or the new one.

    Raises:
        OSError: the volume is full or read-only.
    """
    draft = path.with_name(f".{path.name}.new")
    draft.write_text(text, encoding="utf-8")
    draft.chmod(0o644)  # the other container may run as another user
    draft.replace(path)


def _json_object(text: str, name: str) -> dict[str, object]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise StateInvalid(f"{name} is not JSON") from None
    if not isinstance(content, dict):
        raise StateInvalid(f"{name} is not a JSON object")
    return content


def _adapter(item: object) -> LiveAdapter:
    if not isinstance(item, dict):
        raise StateInvalid(f"{STATE_FILE} has an adapter that is not an object")
    strength = item.get("strength")
    if isinstance(strength, bool) or not isinstance(strength, int | float) or not math.isfinite(strength):
        raise StateInvalid(f"{STATE_FILE} has an adapter whose strength is not a number")
    try:
        state = PullState(_text(item, "state"))
    except ValueError:
        raise StateInvalid(f"{STATE_FILE} has an adapter in a state that is not known") from None
    texts = {key: _text(item, key, "") for key in ("image", "digest", "path", "reason", "message")}
    return LiveAdapter(name=_text(item, "name"), strength=float(strength), state=state, **texts)


def _text(content: dict[str, object], key: str, default: str | None = None) -> str:
    value = content.get(key, default)
    if not isinstance(value, str):
        raise StateInvalid(f"{STATE_FILE} has no text '{key}'")
    return value
