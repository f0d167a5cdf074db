"""What can go wrong when talking to the API server, named by meaning.

* ApiError
  - NotFound             404
  - Conflict             409: the object changed under us, or exists already
  - Refused              400, 403, 422 and admission: the request itself is not acceptable
  - Overloaded           429: asked to slow down
  - Unavailable          5xx, connection lost, timed out
* NotLeader              nothing was sent: another replica may be writing
"""


class ApiError(Exception):
    """The API server did not do what was asked."""

    def __init__(self, status: int, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after_s = retry_after_s


class NotFound(ApiError):  # noqa: N818 - named by meaning, as its siblings
    """The object, or its whole kind, does not exist."""


class Conflict(ApiError):  # noqa: N818 - named by meaning, as its siblings
    """The object changed since it was read, or exists already."""


class Refused(ApiError):  # noqa: N818 - named by meaning, as its siblings
    """The API server will not accept this request, however often it is sent."""


class Overloaded(ApiError):  # noqa: N818 - named by meaning, as its siblings
    """The API server asks for fewer requests."""


class Unavailable(ApiError):  # noqa: N818 - named by meaning, as its siblings
    """No answer, or an answer that says nothing about the request."""


class NotLeader(Exception):  # noqa: N818 - a state rather than a fault
    """A write was held back because this replica's Lease has run out."""


# The API server answers 500 when an applied object does not have its kind's schema, as a user's pod
# template may not; to send it again is as useless as after a 422.
_NOT_THIS_KIND = "failed to create typed patch object"


def error_for(status: int, message: str, retry_after_s: float | None = None) -> ApiError:
    """The error class that a status code means."""
    kind: type[ApiError]
    if status == 500 and _NOT_THIS_KIND in message:
        return Refused(status, message)
    match status:
        case 404:
            kind = NotFound
        case 409:
            kind = Conflict
        case 400 | 403 | 405 | 413 | 415 | 422:
            kind = Refused
        case 429:
            kind = Overloaded
        case _:
            kind = Unavailable
    return kind(status, message, retry_after_s=retry_after_s)
