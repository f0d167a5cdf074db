"""Every error of the server and of the download, in one hierarchy.

    ServerError
    |-- ProcessError            the process cannot do its work; it ends with `exit_code`, and the text goes
    |   |                       to the termination log as `<class name>: <text>`
    |   |-- OptionsInvalid    2   a flag or an environment variable
    |   |-- WeightsFormat     3   nothing loadable in the weights, or something is missing from them
    |   |-- WeightsUntrusted  3   the weights need Python code of their own, and that was not allowed
    |   |-- AdapterRefused    4   an adapter is broken, unsupported or of another model; it ends nothing
    |   |-- EngineFailed      5   generation is broken for good (a CUDA error)
    |   |-- AddressInUse      6   the port cannot be opened
    |   |-- ModelTooLarge     7   the weights do not fit the memory
    |   |-- GpuUnusable       8   fewer GPUs can be used than this process was given
    |   |-- HubDenied        10   the hub answered 401 or 403
    |   |-- HubNotFound      11   no such repository or revision
    |   |-- HubUnreachable   12   no network, name not resolved, time-out, server error
    |   `-- VolumeTooSmall   13   the volume cannot hold the files
    `-- RequestError            one request is answered with `status` and `{"detail": text}`
        |-- BadRequest      400
        |   `-- TooLong     400   the prompt fills the model's context
        |-- QueueFull       429   too many requests wait; come back after `retry_after_s`
        |-- NotReady        503   loading, draining or broken; come back after `retry_after_s`
        |-- OutOfMemory     503   this request did not fit the memory that is left
        |-- InternalError   500   a defect that one request met; the log has the place
        |-- Unauthorized    401   no API key, or one that is not known
        |-- NotFound        404   a model or an adapter that is not there
        |-- RequestTimeout  408   longer than --request-timeout, waiting included
        `-- ClientGone      499   nobody reads the answer any more (nginx's code; in logs and counts only)

What no class here names ends the process with 1.
"""

# ruff: noqa: N818 - the names are the reasons that people read in a pod's status, where "Error" says nothing

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """How the process ends. docs and the operator read these numbers: never renumber one."""

    OK = 0
    UNEXPECTED = 1
    OPTIONS = 2
    WEIGHTS = 3
    ADAPTER = 4
    ENGINE = 5
    ADDRESS = 6
    MEMORY = 7
    GPU = 8
    HUB_DENIED = 10
    HUB_NOT_FOUND = 11
    HUB_UNREACHABLE = 12
    VOLUME = 13


class ServerError(Exception):
    """Base of all errors here. The text says the cause and the next action, and holds no user text."""


class ProcessError(ServerError):
    """The process cannot do its work. The class name is the reason that status and logs show."""

    exit_code: ClassVar[ExitCode] = ExitCode.UNEXPECTED

    @property
    def reason(self) -> str:
        """Return the CamelCase word that stands before the text in the termination log."""
        return type(self).__name__


class OptionsInvalid(ProcessError):
    """A flag or an environment variable cannot be used."""

    exit_code = ExitCode.OPTIONS


class WeightsFormat(ProcessError):
    """The weights folder holds nothing that can be loaded, or something is missing from it."""

    exit_code = ExitCode.WEIGHTS


class WeightsUntrusted(ProcessError):
    """The weights come with Python code that would have to run, and nobody allowed it."""

    exit_code = ExitCode.WEIGHTS


class AdapterRefused(ProcessError):
    """An adapter is broken, of a kind that is not served, or of another model. It ends nothing."""

    exit_code = ExitCode.ADAPTER


class AddressInUse(ProcessError):
    """The port cannot be opened."""

    exit_code = ExitCode.ADDRESS


class EngineFailed(ProcessError):
    """Generation cannot go on in this process: it must be restarted."""

    exit_code = ExitCode.ENGINE


class ModelTooLarge(ProcessError):
    """The weights do not fit the memory."""

    exit_code = ExitCode.MEMORY


class GpuUnusable(ProcessError):
    """The process was given GPUs, and CUDA finds fewer of them."""

    exit_code = ExitCode.GPU


class HubDenied(ProcessError):
    """The hub answered 401 or 403."""

    exit_code = ExitCode.HUB_DENIED


class HubNotFound(ProcessError):
    """The hub knows no such repository or revision."""

    exit_code = ExitCode.HUB_NOT_FOUND


class HubUnreachable(ProcessError):
    """The hub did not answer, or answered with a server error."""

    exit_code = ExitCode.HUB_UNREACHABLE


class VolumeTooSmall(ProcessError):
    """The files do not fit the volume."""

    exit_code = ExitCode.VOLUME


class RequestError(ServerError):
    """One request is refused; the server goes on. `retry_after_s` becomes the Retry-After header."""

    status: ClassVar[int] = 500

    def __init__(self, detail: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after_s = retry_after_s


class BadRequest(RequestError):
    """The client has to change the request."""

    status = 400


class TooLong(BadRequest):
    """The prompt leaves no room for an answer."""

    @classmethod
    def of(cls, prompt_tokens: int, context_tokens: int) -> TooLong:
        """Make the error of a prompt of so many tokens."""
        return cls(
            f"the prompt has {prompt_tokens} tokens, the model's context is {context_tokens} tokens for "
            "prompt and answer together; shorten the prompt"
        )


class NotReady(RequestError):
    """No request can be answered now."""

    status = 503


class QueueFull(RequestError):
    """As many requests wait as are allowed to."""

    status = 429


class OutOfMemory(RequestError):
    """The memory left over does not hold this request."""

    status = 503


class InternalError(RequestError):
    """A defect that one request met; the server goes on."""

    status = 500


class Unauthorized(RequestError):
    """The request names no API key, or one that is not known."""

    status = 401


class NotFound(RequestError):
    """The request names a model that is not served."""

    status = 404


class RequestTimeout(RequestError):
    """The request took longer than it may."""

    status = 408

    @classmethod
    def after(cls, seconds: float) -> RequestTimeout:
        """Make the error of a request that may take so many seconds."""
        return cls(
            f"not done after {seconds:g} s, waiting included; ask for fewer tokens, or raise "
            "inference.server.requestTimeoutSeconds (flag --request-timeout)"
        )


class ClientGone(RequestError):
    """The client closed the connection before its answer was there."""

    status = 499
