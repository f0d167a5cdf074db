"""Which accounts an image is pulled with."""

import base64
import json
import logging
from pathlib import Path

import pytest

from inference_server.adapter_sync.credentials import find_credentials
from inference_server.adapter_sync.reference import parse_reference


def _secret(folder: Path, name: str, *keys: str, file: str = ".dockerconfigjson") -> None:
    (folder / name).mkdir(exist_ok=True)
    auth = base64.b64encode(f"{name}:pass:word".encode()).decode()
    (folder / name / file).write_text(json.dumps({"auths": {key: {"auth": auth} for key in keys}}))


def _users(folder: Path, image: str) -> list[str]:
    return [found.username for found in find_credentials(folder, parse_reference(image))]


@pytest.mark.parametrize(
    ("key", "image", "fits"),
    [
        ("r.example", "r.example/team/one", True),
        ("https://r.example/v1/", "r.example/team/one", True),
        ("r.example:5000", "r.example:5000/team/one", True),
        ("r.example", "r.example:5000/team/one", False),
        ("r.example/team", "r.example/team/one", True),
        ("r.example/tea", "r.example/team/one", False),
        ("*.example", "r.example/team/one", True),
        ("*.example", "a.r.example/team/one", False),
        ("https://index.docker.io/v1/", "team/one", True),
        ("docker.io", "index.docker.io/team/one", True),
        ("registry-1.docker.io/team", "docker.io/team/one", True),
        ("other.example", "r.example/team/one", False),
    ],
)
def test_an_account_is_for_its_registry_and_path(tmp_path: Path, key: str, image: str, fits: bool) -> None:
    _secret(tmp_path, "me", key)
    assert _users(tmp_path, image) == (["me"] if fits else [])


def test_the_longest_path_comes_first(tmp_path: Path) -> None:
    _secret(tmp_path, "a", "r.example")
    _secret(tmp_path, "b", "r.example/team/one", file="config.json")
    _secret(tmp_path, "c", "r.example/team")
    assert _users(tmp_path, "r.example/team/one") == ["b", "c", "a"]


def test_a_password_keeps_its_colons_and_is_not_printed(tmp_path: Path) -> None:
    _secret(tmp_path, "me", "r.example")
    found = find_credentials(tmp_path, parse_reference("r.example/one"))[0]
    assert found.password == "pass:word"
    assert "word" not in repr(found)


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", '{"auths": []}', '{"auths": {"r.example": "s3cret"}}', '{"auths": {"r.example": {}}}',
        '{"auths": {"r.example": {"auth": "s3cret"}}}', '{"auths": {"r.example": {"username": "s3cret"}}}',
    ],
)  # fmt: skip
def test_a_broken_secret_is_passed_over_and_not_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text(text)
    _secret(tmp_path, "me", "r.example")
    with caplog.at_level(logging.DEBUG):
        assert _users(tmp_path, "r.example/one") == ["me"]
    assert "passed over" in caplog.text or "without an account" in caplog.text
    assert "s3cret" not in caplog.text


def test_without_the_folder_there_are_no_accounts(tmp_path: Path) -> None:
    assert _users(tmp_path / "none", "r.example/one") == []
