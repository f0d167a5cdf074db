"""The life of the process: loading, draining, and ends that say why."""

from __future__ import annotations

import concurrent.futures
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.component.inference_server.conftest import Tiny
from tests.component.inference_server.process import ServerProcess, wait_for

pytestmark = pytest.mark.component
Start = Callable[..., ServerProcess]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[ServerProcess] = []

    def begin(*arguments: str, **environment: str) -> ServerProcess:
        process = ServerProcess(*arguments, log=tmp_path / "termination-log", environment=environment)
        started.append(process)
        return process

    yield begin
    for process in started:
        process.stop()


def test_it_answers_while_loading_and_finishes_what_it_has_when_told_to_end(start: Start, made: Tiny) -> None:
    told = ("--expected-load-seconds", "42")
    server = start("--model", str(made.folder / "model"), "--adapters", str(made.folder / "none"), *told)
    with server.client() as client:
        loading = client.get("/healthz")
        assert loading.status_code == 503
        assert {"status": "Loading", "model": "model"}.items() <= loading.json().items()
        assert {"phase", "elapsed_s", "progress"} <= set(loading.json())
        assert loading.json()["expected_s"] == 42.0
        assert client.get("/livez").status_code == 200
        early = client.post("/chat", json={"prompt": "w1"})
        assert (early.status_code, early.headers["Retry-After"]) == (503, "5")
        server.wait_ready()
        answers = _drain_with_two_requests(server, client)
        assert [answer.status_code for answer in answers] == [200, 200]
        assert all(len(answer.json()["Result"].split()) == 400 for answer in answers)
    assert server.wait() == 0
    percents = [line["percent"] for line in server.lines if line["message"] == "loading weights"]
    assert percents[-1:] == [100]
    (ready,) = [line for line in server.lines if line["message"] == "ready"]
    assert ready["seconds"] > 0


def _drain_with_two_requests(server: ServerProcess, client: httpx.Client) -> list[httpx.Response]:
    kwargs = {"do_sample": False, "max_new_tokens": 400, "min_length": 500}
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        sent = [pool.submit(client.post, "/chat", json=_body(kwargs)) for _ in range(2)]
        wait_for(lambda: "queue_depth 2.0" in client.get("/metrics").text, 10, "both are accepted")
        server.signal()
        wait_for(lambda: client.get("/healthz").json()["status"] == "Draining", 5, "not ready any more")
        assert client.get("/healthz").status_code == 503
        assert client.post("/chat", json=_body(kwargs)).status_code == 503
        return [future.result() for future in sent]


def _body(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {"prompt": "w0 w1", "generate_kwargs": kwargs}


def test_a_drain_that_takes_too_long_is_cut_off(tmp_path: Path) -> None:
    module = "tests.component.inference_server.slow_echo"
    server = ServerProcess("--drain-seconds", "0.2", log=tmp_path / "termination-log", module=module)
    try:
        server.wait_ready()
        with server.client() as client, concurrent.futures.ThreadPoolExecutor(1) as pool:
            sent = pool.submit(client.post, "/chat", json={"prompt": "a minute or so of characters " * 4})
            wait_for(lambda: "queue_depth 1.0" in client.get("/metrics").text, 10, "it runs")
            server.signal(signal.SIGINT)
            assert sent.result().status_code == 503
        assert server.wait() == 0
    finally:
        server.stop()


def test_a_load_does_not_hold_up_the_end(start: Start, made: Tiny) -> None:
    server = start("--model", str(made.folder / "model"), "--adapters", str(made.folder / "none"))
    with server.client() as client:
        assert client.get("/livez").status_code == 200
        server.signal()
    assert server.wait(10) == 0
    assert not [line for line in server.lines if line.get("message") == "ready"]


def test_the_echo_engine_serves_without_weights_and_without_the_libraries(start: Start) -> None:
    server = start("--engine", "echo")
    server.wait_ready()
    with server.client() as client:
        assert client.post("/chat", json={"prompt": "hello"}).json() == {"Result": "hello"}
        messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "again"}]
        assert client.post("/chat", json={"messages": messages}).json() == {"Result": "again"}
        assert client.get("/metrics").status_code == 200
    (ready,) = [line for line in server.lines if line["message"] == "ready"]
    assert ready["seconds"] < 1
    server.signal()
    assert server.wait() == 0


def test_weights_in_another_form_end_it_with_the_reason(start: Start, tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "consolidated.00.pth").touch()
    server = start("--model", str(tmp_path / "w"))
    assert server.wait() == 3
    said = server.termination_log.read_text()
    assert said.startswith("WeightsFormat: ")
    assert "consolidated.00.pth" in said
    assert "safetensors" in said


def test_wrong_flags_and_a_taken_port_end_it_with_codes_of_their_own(start: Start) -> None:
    assert start("--engine", "echo", "--dtype", "int3").wait() == 2
    assert start("--engine", "echo", KAITO_ADAPTER_STRENGTHS="{").wait() == 2
    with socket.create_server(("0.0.0.0", 0)) as taken:
        server = start("--engine", "echo", "--port", str(taken.getsockname()[1]))
        assert server.wait() == 6
    assert server.termination_log.read_text().startswith("AddressInUse: ")
