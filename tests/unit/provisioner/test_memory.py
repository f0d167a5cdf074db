"""How long a request that did not work is not sent again."""

import pytest

from kaito_operator.provisioner.faults import Fault
from kaito_operator.provisioner.memory import Troubles


@pytest.mark.parametrize(
    ("reason", "retry_after_s", "pauses"),
    [
        ("OperationInProgress", None, [30.0, 30.0]),
        ("OperationInProgress", 45.0, [45.0]),
        ("AzureThrottled", 7.0, [7.0]),
        ("AzureThrottled", None, [30.0]),
        ("AzureUnavailable", None, [3.75, 7.5, 15.0, 30.0, 60.0, 60.0]),
        ("AzureAuthFailed", None, [60.0, 60.0]),
        ("PoolLimitReached", None, [60.0]),
    ],
)
def test_the_pause_follows_the_reason(reason: str, retry_after_s: float | None, pauses: list[float]) -> None:
    troubles = Troubles(15.0, lambda: 2.0, lambda: 0.0)
    assert [troubles.note("x", Fault(reason, "d", retry_after_s)) for _ in pauses] == pauses


def test_trouble_is_remembered_until_a_request_works() -> None:
    now = 0.0
    troubles = Troubles(15.0, lambda: 1.0, lambda: now)
    assert troubles.of("x") is None
    troubles.note("x", Fault("OperationInProgress", "d"))
    now = 5.0
    found = troubles.of("x")
    assert found is not None
    assert found.wait_s == 10
    now = 50.0
    found = troubles.of("x")
    assert found is not None
    assert found.wait_s == 0
    troubles.clear("x")
    assert troubles.of("x") is None
