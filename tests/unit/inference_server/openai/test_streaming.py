"""Streams without sockets: what is sent when, and what happens when a client leaves or an engine fails."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from inference_server.errors import EngineFailed, OutOfMemory, QueueFull
from inference_server.http.app import build_app
from inference_server.http.openai import running
from inference_server.options import ServerOptions
from inference_server.service import Service
from tests.unit.inference_server.scripted import ScriptedEngine, until

HELLO = {"messages": [{"role": "user", "content": "hello"}], "stream": True}


class Connection:
    """One request over ASGI: what came back so far, and a client that can leave or stop reading."""

    def __init__(self, service: Service, body: dict[str, Any], path: str = "/v1/chat/completions") -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.data = b""
        self._request = json.dumps(body).encode()
        self._left = asyncio.Event()
        self.reading = asyncio.Event()
        self.reading.set()
        self._sent = False
        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "scheme": "http",
            "query_string": b"",
            "headers": [(b"content-type", b"application/json")],
            "http_version": "1.1",
        }
        app = build_app(service, service.options)
        self.task = asyncio.ensure_future(app(scope, self._receive, self._send))

    def leave(self) -> None:
        self._left.set()

    async def _receive(self) -> dict[str, Any]:
        if not self._sent:
            self._sent = True
            return {"type": "http.request", "body": self._request, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {key.decode(): value.decode() for key, value in message["headers"]}
        else:
            self.data += message["body"]
        await self.reading.wait()

    @property
    def events(self) -> list[Any]:
        """The data of all events, parsed; "[DONE]" as it is."""
        blocks = self.data.decode().split("\n\n")
        lines = [block.removeprefix("data: ") for block in blocks if block.startswith("data: ")]
        return [line if line == "[DONE]" else json.loads(line) for line in lines]

    @property
    def text(self) -> str:
        """The content so far."""
        chunks = [event for event in self.events if event != "[DONE]" and event.get("choices")]
        return "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
async def service(engine: ScriptedEngine, tmp_path: Path) -> Service:
    options = ServerOptions(termination_log=tmp_path / "none", adapters=tmp_path / "none", max_queue=1)
    service = Service(options, engine)
    await asyncio.to_thread(service.load)
    await service.start()
    return service


async def test_an_answer_is_streamed_to_its_end(service: Service) -> None:
    connection = Connection(service, HELLO)
    await connection.task
    assert connection.status == 200
    assert connection.headers["content-type"].startswith("text/event-stream")
    assert "content-length" not in connection.headers
    assert connection.text == "hello"
    assert connection.events[-1] == "[DONE]"
    assert connection.events[-2]["choices"][0]["finish_reason"] == "stop"


async def test_each_piece_is_sent_when_it_comes(service: Service, engine: ScriptedEngine) -> None:
    engine.batch.gate = threading.Semaphore(0)
    connection = Connection(service, HELLO)
    for so_far in ("h", "he", "hel"):
        engine.batch.gate.release()
        await until(lambda so_far=so_far: connection.text == so_far)  # type: ignore[misc]
    assert not connection.task.done()
    engine.batch.gate.release(10)
    await connection.task


async def test_a_refusal_before_the_first_byte_has_its_status(
    service: Service, engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object) -> None:
        raise QueueFull("too many", retry_after_s=7)

    monkeypatch.setattr(service, "submit", full)
    connection = Connection(service, HELLO)
    await connection.task
    assert (connection.status, connection.headers["retry-after"]) == (429, "7")
    assert json.loads(connection.data)["error"]["code"] == "rate_limit_exceeded"


async def test_a_failure_before_the_first_byte_has_its_status(
    service: Service, engine: ScriptedEngine
) -> None:
    engine.batch.row_errors["hello"] = OutOfMemory("no room", retry_after_s=5)
    connection = Connection(service, HELLO)
    await connection.task
    assert connection.status == 503
    assert json.loads(connection.data)["error"]["message"] == "no room"


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (OutOfMemory("no room"), {"message": "no room", "code": "service_unavailable"}),
        (EngineFailed("CUDA error"), {"message": "the model cannot answer any more: CUDA error"}),
    ],
)
async def test_a_failure_after_the_first_byte_is_the_last_event(
    service: Service,
    engine: ScriptedEngine,
    caplog: pytest.LogCaptureFixture,
    failure: Exception,
    told: dict[str, str],
) -> None:
    engine.batch.gate = threading.Semaphore(1)
    connection = Connection(service, HELLO)
    await until(lambda: connection.text == "h")
    if isinstance(failure, OutOfMemory):
        engine.batch.row_errors["hello"] = failure
    else:
        engine.batch.failure = failure
    engine.batch.gate.release(3)
    with caplog.at_level("INFO"):
        await connection.task
    assert connection.status == 200
    assert connection.events[-1]["error"].items() >= told.items()
    assert "[DONE]" not in connection.events
    codes = [record.__dict__["code"] for record in caplog.records if record.message == "request"]
    assert codes in ([503], [500])


async def test_a_client_that_leaves_stops_the_generation(
    service: Service, engine: ScriptedEngine, caplog: pytest.LogCaptureFixture
) -> None:
    engine.batch.gate = threading.Semaphore(1)
    connection = Connection(service, {**HELLO, "ignore_eos": True})
    await until(lambda: connection.text == "h")
    with caplog.at_level("INFO"):
        connection.leave()
        await connection.task
    engine.batch.gate.release(2)
    await until(lambda: not engine.batch.prompts)
    assert service.scheduler.depth == 0
    (record,) = [record for record in caplog.records if record.message == "request"]
    assert (record.__dict__["code"], record.__dict__["tokens_out"]) == (499, 1)


async def test_silence_is_broken_by_comments(
    service: Service, engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "HEARTBEAT_S", 0.05)
    engine.batch.gate = threading.Semaphore(0)
    connection = Connection(service, HELLO)
    await until(lambda: connection.data.count(b": keep-alive\n\n") >= 2)
    assert connection.status == 200
    engine.batch.gate.release(10)
    await connection.task
    assert connection.text == "hello"
    assert connection.events[-1] == "[DONE]"


async def test_for_a_client_that_takes_nothing_the_generation_stops(
    service: Service, engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "HEARTBEAT_S", 0.05)
    monkeypatch.setattr(running, "_STUCK_S", 0.1)
    engine.batch.gate = threading.Semaphore(1)  # one token, which nobody takes
    connection = Connection(service, {**HELLO, "ignore_eos": True})
    connection.reading.clear()
    await until(lambda: connection.status == 200)
    await until(lambda: service.scheduler.depth == 0)
    connection.reading.set()
    await connection.task


async def test_streams_of_several_prompts_are_told_apart_by_their_index(service: Service) -> None:
    body = {"prompt": ["ab", "cde"], "n": 2, "stream": True, "stream_options": {"include_usage": True}}
    connection = Connection(service, body, "/v1/completions")
    await connection.task
    texts = ["", "", "", ""]
    for event in connection.events[:-1]:
        for choice in event["choices"]:
            texts[choice["index"]] += choice["text"]
    assert texts == ["ab", "ab", "cde", "cde"]
    assert connection.events[-2]["usage"] == {"prompt_tokens": 5, "completion_tokens": 14, "total_tokens": 19}


async def test_where_one_prompt_is_refused_the_others_are_stopped(
    service: Service, engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.batch.gate = threading.Semaphore(0)
    submit = service.submit

    def once(generation: Any) -> Any:
        monkeypatch.setattr(service, "submit", full)
        return submit(generation)

    def full(_: object) -> None:
        raise QueueFull("too many", retry_after_s=1)

    monkeypatch.setattr(service, "submit", once)
    connection = Connection(service, {"prompt": ["ab", "cde"], "stream": True}, "/v1/completions")
    await connection.task
    assert connection.status == 429
    assert service.scheduler.depth == 0
