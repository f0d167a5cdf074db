"""Logins of the simulated cloud."""

from pathlib import Path

import pytest

from tools.simcloud.errors import ArmError
from tools.simcloud.identity import ASSERTION_TYPE, Identity, LoginError


def form(identity: Identity, **changed: str) -> dict[str, str]:
    return {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": identity.token_file.read_text(),
        "client_id": identity.client,
        "scope": "https://management.azure.com/.default",
        **changed,
    }


def bearer(identity: Identity) -> str:
    return f"Bearer {identity.login(identity.tenant, form(identity))['access_token']}"


def test_a_federated_token_is_exchanged_for_one_that_is_accepted(tmp_path: Path) -> None:
    identity = Identity(tmp_path)
    identity.check(bearer(identity))


def test_an_access_token_is_accepted_by_the_next_server_of_the_folder(tmp_path: Path) -> None:
    Identity(tmp_path).check(bearer(Identity(tmp_path)))


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"client_assertion": "stolen"}, "invalid_client"),
        ({"client_id": "other"}, "unauthorized_client"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"scope": "everything"}, "invalid_scope"),
    ],
)
def test_another_login_is_refused(tmp_path: Path, changed: dict[str, str], expected: str) -> None:
    identity = Identity(tmp_path)
    with pytest.raises(LoginError) as caught:
        identity.login(identity.tenant, form(identity, **changed))
    assert caught.value.code == expected


def test_another_tenant_is_refused(tmp_path: Path) -> None:
    identity = Identity(tmp_path)
    with pytest.raises(LoginError):
        identity.login("other", form(identity))


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer x", "Bearer 9999999999.a.b", "Basic x"])
def test_a_header_without_a_token_of_ours_is_not_accepted(tmp_path: Path, header: str | None) -> None:
    with pytest.raises(ArmError) as caught:
        Identity(tmp_path).check(header)
    assert caught.value.status == 401


def test_an_expired_token_is_not_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    identity = Identity(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("tools.simcloud.identity.time.time", lambda: 1000.0)
        old = bearer(identity)
    with pytest.raises(ArmError):
        identity.check(old)


def test_a_revoked_token_is_not_accepted_and_a_new_one_is(tmp_path: Path) -> None:
    identity = Identity(tmp_path)
    old = bearer(identity)
    identity.revoke()
    with pytest.raises(ArmError):
        identity.check(old)
    identity.check(bearer(identity))
