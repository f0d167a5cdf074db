"""Why an adapter is not on the disk. Each reason is one class; the text says the cause and the next action.

PullError
|-- AdapterDenied         state Denied, asked again every minute: a Secret may come
|-- RegistryUnreachable   state Failed, asked again with growing pauses
|-- AdapterImageNotFound  state Failed until the list changes, like the two below
|-- AdapterImageBad       not an image of an adapter
|-- AdapterTooLarge       over --max-bytes, or more than the volume has left
`-- AdapterFailed         a defect or an error of the disk: asked again with growing pauses
"""

# ruff: noqa: N818 - the names are the reasons that people read in the Workspace's status

from __future__ import annotations

from typing import ClassVar

from inference_server.adapter_sync.state import PullState


class PullError(Exception):
    """Base of all errors of a pull."""

    state: ClassVar[PullState] = PullState.FAILED
    retried: ClassVar[bool] = False

    @property
    def reason(self) -> str:
        """The word for state.json."""
        return type(self).__name__


class AdapterDenied(PullError):
    """The registry answered 401 or 403 to every credential at hand, and to none."""

    state = PullState.DENIED
    retried = True


class RegistryUnreachable(PullError):
    """No network, name not resolved, time-out, a server error or too many requests.

    `retry_after_s` is what the registry asked for, in seconds, or None.
    """

    retried = True

    def __init__(self, text: str, retry_after_s: float | None = None) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


class AdapterImageNotFound(PullError):
    """The registry knows no such repository, tag or digest."""


class AdapterImageBad(PullError):
    """What came is not an adapter: wrong name, wrong digest, no files, pickles, links, broken archive."""


class AdapterTooLarge(PullError):
    """More bytes than allowed, or than the volume has left."""


class AdapterFailed(PullError):
    """Something that no class here names. It may pass."""

    retried = True


class Abandoned(Exception):
    """The list changed while this adapter was pulled: nobody wants it any more."""


class Unusable(Exception):
    """The program cannot do its work at all: a flag, or a folder that is not there. Ends it with 2."""
