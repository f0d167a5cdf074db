"""Entries: how far each adapter is, as GET /adapters and the metrics tell it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, get_args

from inference_server.adapter_sync.state import LiveAdapter, PullState
from inference_server.engine import Combination

_DIGEST: Final = 12
_MOST_MESSAGE: Final = 1000


class AdapterState(StrEnum):
    """Where an adapter is between its registry and the answers."""

    PULLING = "Pulling"
    FAILED = "Failed"
    DENIED = "Denied"
    LOADING = "Loading"
    LOADED = "Loaded"
    REFUSED = "Refused"
    NOT_MERGEABLE = "NotMergeable"
    NEEDS_RESTART = "NeedsRestart"


REASONS: Final = {
    AdapterState.REFUSED: "AdapterRefused",
    AdapterState.NOT_MERGEABLE: "AdapterNotMergeable",
    AdapterState.NEEDS_RESTART: "AdapterNeedsRestart",
}
UNSETTLED: Final = (AdapterState.PULLING, AdapterState.LOADING)


@dataclass
class Entry:
    """One adapter of the list. `serving` is the revision that answers for it now, '' while none does."""

    wanted: LiveAdapter
    state: AdapterState
    reason: str = ""
    message: str = ""
    serving: str = ""

    def become(self, state: AdapterState, message: str = "") -> None:
        """Go on to `state`."""
        self.state, self.reason, self.message = state, REASONS.get(state, ""), message

    def body(self) -> dict[str, object]:
        """Return the entry as JSON."""
        message = self.message
        if self.serving and self.serving != revision_of(self.wanted):
            message = f"{message} Its earlier revision answers meanwhile.".lstrip()
        return {
            "name": self.wanted.name,
            "image": self.wanted.image,
            "digest": self.wanted.digest,
            "strength": self.wanted.strength,
            "state": str(self.state),
            "reason": self.reason,
            "message": message[:_MOST_MESSAGE],
        }


def entry_of(wanted: LiveAdapter) -> Entry:
    """Return the entry of an adapter before anything was done here: what the sidecar says counts."""
    if wanted.state is PullState.PULLED:
        return Entry(wanted, AdapterState.LOADING)
    return Entry(wanted, AdapterState(str(wanted.state)), wanted.reason, wanted.message)


def revision_of(wanted: LiveAdapter) -> str:
    """Return the revision of an adapter on the disk: its name and digest; '' before it is there."""
    if wanted.state is not PullState.PULLED:
        return ""
    digest = wanted.digest.removeprefix("sha256:")[:_DIGEST]
    return f"{wanted.name}@{digest or 'folder'}"


def combination_of(text: str) -> Combination | None:
    """Return a combination by its name, None for what is none."""
    return next((how for how in get_args(Combination) if how == text), None)


def count_states(entries: Mapping[str, Entry]) -> dict[str, int]:
    """Return how many adapters are in each state, every state included: a gauge must fall to 0."""
    counted = Counter(entry.state for entry in entries.values())
    return {str(state): counted[state] for state in AdapterState}
