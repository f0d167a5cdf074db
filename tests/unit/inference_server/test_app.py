"""The application over the echo engine, without sockets: errors that only a scripted engine can make."""

import json
import logging
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx
import pytest
from typing_extensions import override

from inference_server.app import build_app
from inference_server.echo_engine import EchoEngine
from inference_server.engine import GenerationResult, Phase, Sampling
from inference_server.errors import EngineFailed, OutOfMemory
from inference_server.options import ServerOptions
from inference_server.service import Service

SECRET = "what the user wrote"


class ScriptedEngine(EchoEngine):
    """Raises `failure` instead of answering, if it is set."""

    def __init__(self) -> None:
        super().__init__()
        self.failure: Exception | None = None

    @override
    def generate(
        self, prompt: Sequence[int], sampling: Sampling, cancelled: threading.Event
    ) -> GenerationResult:
        if self.failure:
            raise self.failure
        return super().generate(prompt, sampling, cancelled)


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
def service(engine: ScriptedEngine, tmp_path: Path) -> Service:
    (tmp_path / "log").touch()
    return Service(ServerOptions(termination_log=tmp_path / "log"), engine)


@pytest.fixture
async def client(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=build_app(service, ServerOptions()))
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
        yield client


async def test_before_the_load_only_probes_answer(client: httpx.AsyncClient) -> None:
    assert (await client.get("/livez")).status_code == 200
    assert (await client.get("/healthz")).json()["phase"] == Phase.STARTING
    assert (await client.post("/chat", json={"prompt": "x"})).headers["Retry-After"] == "5"


async def test_after_the_load_it_answers(client: httpx.AsyncClient, service: Service) -> None:
    service.load()
    assert (await client.get("/healthz")).json() == {"status": "Healthy"}
    answer = await client.post("/chat", json={"prompt": "abc", "return_full_text": True})
    assert answer.json() == {"Result": "abcabc"}


async def test_the_header_that_names_json_may_be_left_out(
    client: httpx.AsyncClient, service: Service
) -> None:
    service.load()
    assert (await client.post("/chat", content=b'{"prompt": "abc"}')).json() == {"Result": "abc"}


async def test_a_broken_engine_is_told_by_both_probes_and_the_termination_log(
    client: httpx.AsyncClient, service: Service, engine: ScriptedEngine, tmp_path: Path
) -> None:
    service.load()
    engine.failure = EngineFailed("CUDA error: gone")
    assert (await client.post("/chat", json={"prompt": "x"})).status_code == 500
    assert (await client.get("/healthz")).json() == {"detail": "CUDA error: gone"}
    assert (await client.get("/livez")).status_code == 500
    assert (await client.post("/chat", json={"prompt": "x"})).status_code == 503
    assert (tmp_path / "log").read_text() == "EngineFailed: CUDA error: gone\n"


async def test_a_request_that_needs_too_much_memory_does_not_end_the_service(
    client: httpx.AsyncClient, service: Service, engine: ScriptedEngine
) -> None:
    service.load()
    engine.failure = OutOfMemory("not enough memory", retry_after_s=5)
    answer = await client.post("/chat", json={"prompt": "x"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    engine.failure = None
    assert (await client.post("/chat", json={"prompt": "x"})).status_code == 200


async def test_an_unexpected_exception_is_a_json_500_with_an_id_and_its_text_stays_hidden(
    client: httpx.AsyncClient,
    service: Service,
    engine: ScriptedEngine,
    caplog: pytest.LogCaptureFixture,
) -> None:
    service.load()
    engine.failure = KeyError(SECRET)
    with caplog.at_level(logging.DEBUG):
        answer = await client.post("/chat", json={"prompt": SECRET}, headers={"X-Request-Id": "seven"})
    assert answer.status_code == 500
    assert answer.json()["request_id"] == answer.headers["X-Request-Id"] == "seven"
    assert SECRET not in answer.text
    logged = json.dumps([record.__dict__ for record in caplog.records], default=str)
    assert SECRET not in logged
    assert "KeyError" in logged
    assert "test_app.py" in logged  # the place is told
