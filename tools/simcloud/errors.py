"""The errors of this package: for its user, and for the client of the simulated service."""

from collections.abc import Mapping
from types import MappingProxyType


class SimCloudError(Exception):
    """The simulated cloud was asked for something that it cannot do; the message says what to do instead."""


class ArmError(Exception):
    """An error answer of the service.

    Args:
        status: HTTP status.
        code: the word that programs branch on, such as ``QuotaExceeded``.
        message: the sentence for a person.
        headers: beside the usual ones, such as Retry-After.
    """

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code, self.message, self.headers = status, code, message, headers

    def body(self) -> dict[str, object]:
        """The envelope that Azure Resource Manager wraps its errors in."""
        return {"error": {"code": self.code, "message": self.message}}
