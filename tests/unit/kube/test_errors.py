import pytest

from kaito_operator.kube.errors import (
    ApiError,
    Conflict,
    NotFound,
    Overloaded,
    Refused,
    Unavailable,
    error_for,
)

ROWS: list[tuple[int, str, type[ApiError]]] = [
    (404, "no such thing", NotFound),
    (409, "the object has been modified", Conflict),
    (400, "bad", Refused),
    (403, "quota", Refused),
    (422, "invalid", Refused),
    (429, "slow down", Overloaded),
    (500, "etcdserver: request timed out", Unavailable),
    (500, "failed to create typed patch object (ns/x): .spec.y: field not declared in schema", Refused),
    (503, "not ready", Unavailable),
    (0, "connection refused", Unavailable),
]


@pytest.mark.parametrize(("status", "message", "kind"), ROWS)
def test_an_answer_is_named_by_what_it_means(status: int, message: str, kind: type[ApiError]) -> None:
    assert type(error_for(status, message)) is kind
