"""The application over the echo engine, without sockets: errors that only a scripted engine can make."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from inference_server.engine import Phase
from inference_server.errors import EngineFailed, OutOfMemory
from inference_server.http.app import build_app
from inference_server.options import ServerOptions
from inference_server.service import Service
from tests.unit.inference_server.scripted import ScriptedEngine

SECRET = "what the user wrote"


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
def service(engine: ScriptedEngine, tmp_path: Path) -> Service:
    (tmp_path / "log").touch()
    return Service(ServerOptions(termination_log=tmp_path / "log", adapters=tmp_path / "none"), engine)


@pytest.fixture
async def client(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=build_app(service, service.options))
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
        yield client


@pytest.fixture
async def ready(service: Service) -> Service:
    await asyncio.to_thread(service.load)
    await service.start()
    return service


async def test_before_the_load_only_probes_answer(client: httpx.AsyncClient) -> None:
    assert (await client.get("/livez")).status_code == 200
    assert (await client.get("/healthz")).json()["phase"] == Phase.STARTING
    assert (await client.post("/chat", json={"prompt": "x"})).headers["Retry-After"] == "5"


async def test_after_the_load_it_answers(client: httpx.AsyncClient, ready: Service) -> None:
    assert (await client.get("/healthz")).json() == {"status": "Healthy"}
    answer = await client.post("/chat", json={"prompt": "abc", "return_full_text": True})
    assert answer.json() == {"Result": "abcabc"}


async def test_loaded_is_not_ready_before_start(client: httpx.AsyncClient, service: Service) -> None:
    """Adapters may still be on their way: the first answers would be the base model's."""
    await asyncio.to_thread(service.load)
    assert (await client.get("/healthz")).status_code == 503


async def test_the_header_that_names_json_may_be_left_out(client: httpx.AsyncClient, ready: Service) -> None:
    assert (await client.post("/chat", content=b'{"prompt": "abc"}')).json() == {"Result": "abc"}


async def test_a_broken_engine_is_told_by_both_probes_and_the_termination_log(
    client: httpx.AsyncClient, ready: Service, engine: ScriptedEngine, tmp_path: Path
) -> None:
    engine.batch.failure = EngineFailed("CUDA error: gone")
    assert (await client.post("/chat", json={"prompt": "x"})).status_code == 500
    assert (await client.get("/healthz")).json() == {"detail": "CUDA error: gone"}
    assert (await client.get("/livez")).status_code == 500
    assert (await client.post("/chat", json={"prompt": "x"})).status_code == 503
    assert (tmp_path / "log").read_text() == "EngineFailed: CUDA error: gone\n"


async def test_a_request_that_needs_too_much_memory_does_not_end_the_service(
    client: httpx.AsyncClient, ready: Service, engine: ScriptedEngine
) -> None:
    engine.batch.row_errors["x"] = OutOfMemory("not enough memory", retry_after_s=5)
    answer = await client.post("/chat", json={"prompt": "x"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert (await client.post("/chat", json={"prompt": "y"})).status_code == 200


async def test_a_step_that_fails_is_a_500_and_its_text_stays_hidden(
    client: httpx.AsyncClient,
    ready: Service,
    engine: ScriptedEngine,
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine.batch.failure = KeyError(SECRET)
    with caplog.at_level(logging.DEBUG):
        answer = await client.post("/chat", json={"prompt": SECRET})
    assert answer.status_code == 500
    assert SECRET not in answer.text
    assert_told_without_text(caplog)
    engine.batch.failure = None
    assert (await client.post("/chat", json={"prompt": "x"})).json() == {"Result": "x"}


async def test_an_unexpected_exception_is_a_json_500_with_an_id_and_its_text_stays_hidden(
    client: httpx.AsyncClient,
    ready: Service,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def resolve(_: object) -> None:
        raise KeyError(SECRET)

    monkeypatch.setattr(ready.models, "resolve", resolve)
    with caplog.at_level(logging.DEBUG):
        answer = await client.post("/chat", json={"prompt": SECRET}, headers={"X-Request-Id": "seven"})
    assert answer.status_code == 500
    assert answer.json()["request_id"] == answer.headers["X-Request-Id"] == "seven"
    assert SECRET not in answer.text
    assert_told_without_text(caplog)
    assert "test_app.py" in str(caplog.records[0].__dict__)  # the place is told


def assert_told_without_text(caplog: pytest.LogCaptureFixture) -> None:
    logged = json.dumps([record.__dict__ for record in caplog.records], default=str)
    assert SECRET not in logged
    assert "KeyError" in logged


async def test_a_model_that_is_not_served_is_a_404_that_names_those_that_are(
    client: httpx.AsyncClient, ready: Service
) -> None:
    answer = await client.post("/chat", json={"prompt": "x", "model": "weights:bsae"})
    assert answer.status_code == 404
    assert "weights:base" in answer.json()["detail"]
    assert (await client.post("/chat", json={"prompt": "x", "model": "weights:base"})).status_code == 200


async def test_requests_are_answered_together(
    client: httpx.AsyncClient, ready: Service, engine: ScriptedEngine
) -> None:
    texts = [f"question {number}" for number in range(8)]
    answers = await asyncio.gather(*(client.post("/chat", json={"prompt": text}) for text in texts))
    assert [answer.json()["Result"] for answer in answers] == texts
    assert max(len(rows) for rows in engine.batch.steps() if isinstance(rows, tuple)) > 1
