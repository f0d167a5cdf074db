"""Sixty malformed requests and more: each gets a 4xx with a sentence, and the server stays ready."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.component.inference_server.process import ServerProcess

pytestmark = pytest.mark.component
CHAT, COMPLETIONS, OLD = "/v1/chat/completions", "/v1/completions", "/chat"
HELLO = [{"role": "user", "content": "hello"}]
MIB = 1024 * 1024
MARKED = "a-word-that-no-log-may-have"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("bad-input")
    started = ServerProcess(
        *("--engine", "echo", "--workspace-name", "shop", "--adapters", str(folder / "none")),
        log=folder / "termination-log",
    )
    try:
        started.wait_ready()
        yield started
    finally:
        started.stop()


def chat(**fields: Any) -> bytes:
    return json.dumps({"messages": HELLO, **fields}).encode()


def complete(**fields: Any) -> bytes:
    return json.dumps({"prompt": "hello", **fields}).encode()


def old(**fields: Any) -> bytes:
    return json.dumps({"prompt": "hello", **fields}).encode()


def kwargs(**fields: Any) -> bytes:
    return old(generate_kwargs=fields)


def message(**fields: Any) -> bytes:
    return chat(messages=[{"role": "user", "content": "x", **fields}])


def deep(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


def tool(**fields: Any) -> bytes:
    return chat(tools=[{"type": "function", "function": {"name": "f", **fields}}], tool_choice="required")


BAD: dict[str, tuple[str, int, bytes]] = {
    # No JSON, or none of ours.
    "empty body": (CHAT, 400, b""),
    "broken JSON": (CHAT, 400, b'{"messages": [{'),
    "two objects": (CHAT, 400, b"{}{}"),
    "single quotes": (CHAT, 400, b"{'messages': []}"),
    "a list": (CHAT, 400, b"[]"),
    "a text": (CHAT, 400, b'"hello"'),
    "null": (CHAT, 400, b"null"),
    "a number": (COMPLETIONS, 400, b"17"),
    "binary": (CHAT, 400, bytes(range(256))),
    "no UTF-8": (CHAT, 400, b'{"messages": [{"role": "user", "content": "\xff\xfe"}]}'),
    "UTF-16 without its mark": (CHAT, 400, '{"messages": 1}'.encode("utf-16-le")),
    "an overlong sequence": (COMPLETIONS, 400, b'{"prompt": "\xc0\xaf"}'),
    "a raw control character": (CHAT, 400, b'{"messages": [{"role": "user", "content": "\x00"}]}'),
    "ten thousand brackets": (CHAT, 400, deep(10_000)),
    "brackets where text belongs": (COMPLETIONS, 400, b'{"prompt": ' + deep(900) + b"}"),
    "a number of 5000 digits": (CHAT, 400, b'{"messages": [], "n": ' + b"9" * 5000 + b"}"),
    "old: broken JSON": (OLD, 422, b'{"prompt": '),
    "old: ten thousand brackets": (OLD, 400, deep(10_000)),
    "old: no UTF-8": (OLD, 400, b'{"prompt": "\xff"}'),
    # Too large.
    "a prompt of 10 MB": (CHAT, 413, chat(messages=[{"role": "user", "content": "x" * 10 * MIB}])),
    "old: a prompt of 10 MB": (OLD, 413, old(prompt="x" * 10 * MIB)),
    "a prompt beyond the context": (CHAT, 400, chat(messages=[{"role": "user", "content": "x" * 5000}])),
    "old: a prompt beyond the context": (OLD, 400, old(prompt="x" * 5000)),
    "33 prompts": (COMPLETIONS, 400, complete(prompt=["x"] * 33)),
    "5000 messages": (CHAT, 400, chat(messages=HELLO * 5000)),
    "2000 biases": (CHAT, 400, chat(logit_bias={str(key): 1 for key in range(2000)})),
    "129 tools": (
        CHAT,
        400,
        chat(tools=[{"type": "function", "function": {"name": f"f{n}"}} for n in range(129)]),
    ),
    # Types.
    "no messages": (CHAT, 400, b"{}"),
    "messages of null": (CHAT, 400, chat(messages=None)),
    "messages as a text": (CHAT, 400, chat(messages="hello")),
    "a message as a text": (CHAT, 400, chat(messages=["hello"])),
    "content as a number": (CHAT, 400, message(content=5)),
    "content as an object": (CHAT, 400, message(content={"type": "text", "text": "x"})),
    "a part without a type": (CHAT, 400, message(content=[{"text": "x"}])),
    "an image": (CHAT, 400, message(content=[{"type": "image_url", "image_url": {"url": "data:,"}}])),
    "stream as a text": (CHAT, 400, chat(stream="yes")),
    "temperature as a text": (CHAT, 400, chat(temperature="0.7")),
    "max_tokens as a fraction": (CHAT, 400, chat(max_tokens=1.5)),
    "n as a truth value": (CHAT, 400, chat(n=True)),
    "a prompt as an object": (COMPLETIONS, 400, complete(prompt={"a": 1})),
    "a prompt of mixed types": (COMPLETIONS, 400, complete(prompt=["a", 1])),
    "old: a prompt as a number": (OLD, 422, old(prompt=5)),
    "old: kwargs as a list": (OLD, 422, old(generate_kwargs=[1])),
    # Ranges.
    "temperature below 0": (CHAT, 400, chat(temperature=-0.1)),
    "temperature NaN": (CHAT, 400, chat(temperature=float("nan"))),
    "temperature infinite": (CHAT, 400, chat(temperature=float("inf"))),
    "top_p above 1": (CHAT, 400, chat(top_p=1.1)),
    "max_tokens negative": (CHAT, 400, chat(max_tokens=-5)),
    "max_tokens of 0": (COMPLETIONS, 400, complete(max_tokens=0)),
    "n of 1000": (CHAT, 400, chat(n=1000)),
    "a seed of 200 digits": (CHAT, 400, chat(seed=10**200)),
    "a bias of 1e9": (CHAT, 400, chat(logit_bias={"5": 1e9})),
    "a bias of no token": (CHAT, 400, chat(logit_bias={"-5": 1})),
    "a bias of a token that is not there": (CHAT, 400, chat(logit_bias={"99999999": 1})),
    "a token id that is not there": (COMPLETIONS, 400, complete(prompt=[0x7FFFFFFF])),
    "a negative token id": (COMPLETIONS, 400, complete(prompt=[-1])),
    "no tokens at all": (COMPLETIONS, 400, complete(prompt=[[]])),
    "an empty prompt": (COMPLETIONS, 400, complete(prompt="")),
    "an empty stop text": (CHAT, 400, chat(stop="")),
    "nine stop texts": (CHAT, 400, chat(stop=["x"] * 9)),
    "old: temperature NaN": (OLD, 400, kwargs(temperature=float("nan"))),
    "old: num_beams of 1000": (OLD, 400, kwargs(num_beams=1000)),
    "old: a negative length": (OLD, 400, kwargs(max_new_tokens=-1)),
    "old: a key of the library's": (OLD, 400, kwargs(custom_generate="os.system")),
    "old: eos_token_id that is not there": (OLD, 400, kwargs(eos_token_id=0x7FFFFFFF)),
    "old: a seed of 200 digits": (OLD, 400, kwargs(seed=10**200)),
    # Names and what fits together.
    "a model that is not served": (CHAT, 404, chat(model="gpt-4o")),
    "an adapter that is not there": (COMPLETIONS, 404, complete(model="../../etc/passwd")),
    "a model of half a character": (CHAT, 400, chat(model="\ud800")),
    "a model's name of 1000 letters": (CHAT, 400, chat(model="m" * 1000)),
    "old: an adapter that is not there": (OLD, 404, old(model="shop:other")),
    "a role that nobody has": (CHAT, 400, message(role="wizard")),
    "half a character": (CHAT, 400, message(content="\ud800")),
    "half a character as prompt": (COMPLETIONS, 400, complete(prompt=["\udfff"])),
    "half a character as a key": (CHAT, 400, chat(logit_bias={"\ud800": 1})),
    "half a character in a schema": (CHAT, 400, tool(parameters={"properties": {"\ud800": {}}})),
    "a tool's name with spaces": (CHAT, 400, tool(name="f g")),
    "tools that the template does not take": (CHAT, 400, tool()),
    "a schema of 65 levels": (CHAT, 400, tool(parameters=json.loads('{"a":' * 65 + "1" + "}" * 65))),
    "a schema that is a list": (
        CHAT,
        400,
        chat(response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": []}}),
    ),
    "a call for no tool": (CHAT, 400, chat(tool_choice="required")),
    "top_logprobs without logprobs": (CHAT, 400, chat(top_logprobs=2)),
    "stream_options without a stream": (CHAT, 400, chat(stream_options={"include_usage": True})),
    "suffix": (COMPLETIONS, 400, complete(suffix="x")),
    "best_of": (COMPLETIONS, 400, complete(best_of=3)),
    "old: neither prompt nor messages": (OLD, 400, b"{}"),
}


def sentence(answer: httpx.Response) -> str:
    """What the error says, whichever shape it has."""
    body = answer.json()
    if answer.request.url.path.startswith("/v1/"):
        assert set(body) == {"error"}
        assert set(body["error"]) == {"message", "type", "param", "code"}
        return str(body["error"]["message"])
    return body["detail"] if isinstance(body["detail"], str) else str(body["detail"][0]["msg"])


def require_ready(server: ServerProcess) -> None:
    with server.client() as client:
        assert client.get("/healthz").json() == {"status": "Healthy"}
        assert client.post(OLD, json={"prompt": "still here"}).json() == {"Result": "still here"}


def test_there_are_sixty_of_them() -> None:
    assert len(BAD) >= 60


@pytest.mark.parametrize(("path", "status", "body"), BAD.values(), ids=BAD.keys())
def test_a_malformed_request_gets_a_4xx_with_a_sentence(
    server: ServerProcess, path: str, status: int, body: bytes
) -> None:
    with server.client() as client:
        answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text[:500]
    assert answer.headers["Content-Type"] == "application/json"
    said = sentence(answer)
    assert len(said.split()) >= 3, said
    assert len(said) < 2500
    require_ready(server)


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/xml", "multipart/form-data; boundary=x", "nonsense"]
)
@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_another_content_type_is_refused_with_the_right_one(
    server: ServerProcess, path: str, kind: str
) -> None:
    with server.client() as client:
        answer = client.post(path, content=chat(prompt="x"), headers={"Content-Type": kind})
    assert answer.status_code == 400
    assert "Content-Type: application/json" in sentence(answer)


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS, OLD, "/v1/models", "/v1/nothing", "/v1/"])
@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "QUERY"])
def test_another_method_or_path_is_refused_in_the_routes_shape(
    server: ServerProcess, path: str, method: str
) -> None:
    with server.client() as client:
        answer = client.request(method, path, content=b"{}")
    assert answer.status_code in (404, 405), answer.text
    assert sentence(answer) in ("Not Found", "Method Not Allowed")


def test_a_body_that_grows_beyond_the_limit_is_cut_off(server: ServerProcess) -> None:
    """Chunked: no header tells its length."""

    def endless() -> Iterator[bytes]:
        for _ in range(64):
            yield b" " * 64 * 1024

    with server.client() as client:
        answer = client.post(CHAT, content=endless(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert "--max-body-bytes" in sentence(answer)
    require_ready(server)


RAW = {
    "no HTTP": b"hello\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a header without an end": b"GET / HTTP/1.1\r\nX: " + b"x" * 200_000,
    "two lengths": b"POST /chat HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "a negative length": b"POST /chat HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "a chunk of no size": b"POST /chat HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "HTTP/9": b"GET / HTTP/9.9\r\n\r\n",
}


@pytest.mark.parametrize("sent", RAW.values(), ids=RAW.keys())
def test_what_is_no_http_is_refused_or_dropped(server: ServerProcess, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port(server)), timeout=10) as connection:
        connection.settimeout(10)
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            got = connection.recv(65536)
        except OSError:
            got = b""
    assert got == b"" or got.startswith(b"HTTP/1.1 4"), got[:100]
    require_ready(server)


def test_clients_that_stop_half_way_leave_nothing_behind(server: ServerProcess) -> None:
    """In the header, in the body, and in the middle of the answer."""
    body = chat(stream=True, ignore_eos=True)
    head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n".encode()
    whole = head + f"Content-Length: {len(body)}\r\n\r\n".encode() + body
    for cut in (10, len(head), len(whole) - 5, len(whole)):
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", port(server)), timeout=10) as connection:
                connection.sendall(whole[:cut])
                if cut == len(whole):
                    assert connection.recv(100).startswith(b"HTTP/1.1 200")
    require_ready(server)
    deadline = time.monotonic() + 10
    with server.client() as client:
        while "kaito_inference_queue_depth 0.0" not in client.get("/metrics").text:
            assert time.monotonic() < deadline, "a request that nobody waits for still runs"
            time.sleep(0.05)


def test_slow_clients_hold_nobody_up(server: ServerProcess) -> None:
    """Connections that send a header byte by byte, and some that do not read their answer."""
    slow = [socket.create_connection(("127.0.0.1", port(server)), timeout=10) for _ in range(50)]
    body = chat(stream=True, ignore_eos=True)
    request = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n".encode()
    request += f"Content-Length: {len(body)}\r\n\r\n".encode() + body
    try:
        for connection in slow[:40]:
            connection.sendall(b"POST /chat HT")
        for connection in slow[40:]:
            connection.sendall(request)
        started = time.monotonic()
        require_ready(server)
        assert time.monotonic() - started < 10
    finally:
        for connection in slow:
            connection.close()


def test_no_value_of_a_refused_request_is_logged(server: ServerProcess, tmp_path: Path) -> None:
    with server.client() as client:
        client.post(CHAT, content=chat(messages=[{"role": MARKED, "content": MARKED}], model=MARKED))
        client.post(f"/v1/{MARKED}", content=b"{}")
        client.get(f"/v1/models/{MARKED}")
        client.post(OLD, content=kwargs(**{MARKED: MARKED}))
    require_ready(server)
    assert MARKED not in server.text()


def port(server: ServerProcess) -> int:
    return int(server.url.rpartition(":")[2])
