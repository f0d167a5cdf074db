"""API keys: which requests pass."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from inference_server.echo_engine import EchoEngine
from inference_server.http import auth
from inference_server.http.app import build_app
from inference_server.http.auth import ApiKeys
from inference_server.options import ServerOptions
from inference_server.service import Service


def mount(folder: Path, version: str, keys: dict[str, str]) -> None:
    """Lay files out as the kubelet mounts a Secret, and put a newer version in place by one rename."""
    data = folder / f"..{version}"
    data.mkdir(parents=True)
    for name, key in keys.items():
        (data / name).write_text(key)
        link = folder / name
        if not link.is_symlink():
            link.symlink_to(Path("..data", name))
    (folder / "..data_tmp").symlink_to(data.name)
    (folder / "..data_tmp").rename(folder / "..data")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    mount(tmp_path / "keys", "1", {"first": "alpha-1\n", "second": "beta-2"})
    return tmp_path / "keys"


@pytest.fixture
async def client(folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    options = ServerOptions(api_keys=folder, termination_log=folder / "none")
    transport = httpx.ASGITransport(app=build_app(Service(options, EchoEngine()), options))
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
        yield client


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer alpha-1"},
        {"Authorization": "bearer  beta-2 "},
        {"api-key": "alpha-1"},
        {"x-api-key": "beta-2"},
    ],
)
async def test_a_key_opens_in_each_of_its_headers(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    assert (await client.get("/v1/models", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer alpha-1x"},
        {"Authorization": "Basic alpha-1"},
        {"Authorization": "alpha-1"},
        {"x-api-key": ""},
        {"x-api-key": "ALPHA-1"},
        {"x-api-key": "\xff\xfe"},
    ],
)
async def test_anything_else_is_a_401_in_openais_shape(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    answer = await client.get("/v1/models", headers=raw)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.json()["error"]["code"] == "invalid_api_key"
    assert "API key" in answer.json()["error"]["message"]


async def test_chat_answers_401_in_its_own_shape(client: httpx.AsyncClient) -> None:
    answer = await client.post("/chat", json={"prompt": "x"})
    assert answer.status_code == 401
    assert set(answer.json()) == {"detail"}
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_probes_metrics_and_the_page_need_no_key(client: httpx.AsyncClient) -> None:
    for path in ("/", "/livez", "/metrics", "/adapters", "/ui", "/docs", "/openapi.json"):
        assert (await client.get(path)).status_code == 200, path
    assert (await client.get("/healthz")).status_code == 503


async def test_every_other_route_is_closed(client: httpx.AsyncClient, folder: Path) -> None:
    options = ServerOptions(api_keys=folder)
    app = build_app(Service(options, EchoEngine()), options)
    paths = set(app.openapi()["paths"])
    for path in [*(paths - auth._OPEN), "/v1/chat/completions", "/nothing", "/chat/"]:
        assert (await client.post(path)).status_code == 401, path


async def test_a_changed_secret_counts_from_the_next_request_on(
    client: httpx.AsyncClient, folder: Path
) -> None:
    mount(folder, "2", {"first": "gamma-3"})
    (folder / "second").unlink()
    for key, status in [("gamma-3", 200), ("alpha-1", 401), ("beta-2", 401)]:
        assert (await client.get("/v1/models", headers={"api-key": key})).status_code == status, key


@pytest.mark.parametrize("keys", [{}, {"empty": " \n"}])
async def test_without_a_key_every_request_is_refused_and_the_log_warns(
    tmp_path: Path, keys: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    mount(tmp_path / "keys", "1", keys)
    options = ServerOptions(api_keys=tmp_path / "keys")
    with caplog.at_level(logging.WARNING):
        app = build_app(Service(options, EchoEngine()), options)
    assert "every request is refused" in caplog.text
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://server", headers={"api-key": ""}
    ) as client:
        answer = await client.get("/v1/models")
    assert answer.status_code == 401
    assert "no API key yet" in answer.json()["error"]["message"]


def test_a_folder_that_is_not_there_yet_is_one_without_keys(tmp_path: Path) -> None:
    keys = ApiKeys(tmp_path / "later")
    assert keys.count == 0
    assert not keys.accepts("")
    mount(tmp_path / "later", "1", {"a": "k"})
    keys.refresh()
    assert keys.accepts("k")


async def test_no_key_is_ever_logged(
    folder: Path, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        ApiKeys(folder)
        for key in ("alpha-1", "a-wrong-key"):
            await client.get("/v1/models", headers={"Authorization": f"Bearer {key}"})
    logged = str([record.__dict__ for record in caplog.records])
    assert "alpha-1" not in logged
    assert "a-wrong-key" not in logged
