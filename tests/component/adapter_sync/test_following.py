"""How the program follows its list, its Secrets, the server and its own end."""

import base64
import hashlib
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.component.adapter_sync.conftest import Program, wait_for
from tests.component.adapter_sync.images import Registry, adapter_layer
from tests.component.adapter_sync.slow_registry import SlowRegistry

pytestmark = pytest.mark.component


def _push(registry: Registry, fill: bytes = b"\x01", tag: str = "v1") -> str:
    return registry.push("team/one", tag, [adapter_layer(fill)])


def _one(registry: Registry, tag: str = "v1", strength: float = 1.0) -> dict[str, object]:
    return {"name": "one", "image": f"{registry.host}/team/one:{tag}", "strength": strength}


def _start(program: Program, registry: Registry) -> None:
    program.start("--insecure-registry", registry.host)


def test_without_an_account_a_private_registry_denies_and_a_new_secret_helps_at_once(
    program: Program, private_registry: Registry
) -> None:
    assert private_registry.account
    _push(private_registry)
    program.want(_one(private_registry))
    _start(program, private_registry)
    assert "imagePullSecrets" in program.until("one", "Denied", reason="AdapterDenied")["message"]
    program.secret("wrong", private_registry.docker_config(password="no-such-password"))
    program.secret("mine", private_registry.docker_config())
    program.until("one", "Pulled", seconds=20)
    log = program.log.read_text()
    assert private_registry.account[1] not in log
    assert "no-such-password" not in log


def test_of_two_secrets_for_a_registry_the_valid_one_is_found(
    program: Program, private_registry: Registry
) -> None:
    _push(private_registry)
    for name, password in (("a-wrong", "wrong"), ("b-right", None)):
        (program.auth / name).mkdir()
        (program.auth / name / "config.json").write_text(private_registry.docker_config(password))
    program.want(_one(private_registry))
    _start(program, private_registry)
    program.until("one", "Pulled")


def test_adapters_come_and_go_with_the_list_and_keep_their_folder_while_it_is_in_use(
    program: Program, registry: Registry
) -> None:
    first = _push(registry)
    _push(registry, b"\x02", "v2")
    program.want(_one(registry))
    _start(program, registry)
    old = program.until("one", "Pulled")["path"]
    in_use = program.live / "in-use.json"
    in_use.write_text(f'{{"paths": ["{old}"]}}')
    program.want(_one(registry, "v2"))
    new = wait_for(lambda: (found := program.adapter("one"))["digest"] not in {"", first} and found["path"])
    assert Path(old).is_dir(), "the server reads it"
    draft = program.live / ".in-use"
    draft.write_text(f'{{"paths": ["{new}"]}}')
    draft.replace(in_use)
    wait_for(lambda: not Path(old).exists())
    assert Path(new).is_dir()
    program.want()
    wait_for(lambda: program.state()["adapters"] == [])
    draft.write_text('{"paths": []}')
    draft.replace(in_use)
    wait_for(lambda: not Path(new).exists())


def test_without_a_word_from_the_server_nothing_is_removed(program: Program, registry: Registry) -> None:
    _push(registry)
    program.want(_one(registry))
    _start(program, registry)
    path = Path(program.until("one", "Pulled")["path"])
    before = path.stat().st_ino
    program.want()
    wait_for(lambda: program.state()["adapters"] == [])
    program.want(_one(registry))  # it is followed after the removals of the list before
    program.until("one", "Pulled")
    assert path.stat().st_ino == before


def test_garbage_leaves_the_last_good_list_and_says_so(program: Program, registry: Registry) -> None:
    _push(registry)
    program.want(_one(registry))
    _start(program, registry)
    program.until("one", "Pulled")
    good = program.state()
    assert good["generation"] == hashlib.sha256((program.config / "adapters.json").read_bytes()).hexdigest()
    program.want_text('{"adapters": [{"name": "../x"}]}')
    wait_for(lambda: "DNS name" in program.state()["error"])
    assert {**program.state(), "error": ""} == good
    program.want(_one(registry, strength=0.25))
    wait_for(lambda: program.adapter("one")["strength"] == 0.25)
    assert program.state()["error"] == ""


def test_a_tag_is_resolved_once_for_each_list(program: Program, registry: Registry) -> None:
    first = _push(registry)
    program.want(_one(registry))
    _start(program, registry)
    program.until("one", "Pulled", digest=first)
    second = _push(registry, b"\x03")
    program.want_text((program.config / "adapters.json").read_text())
    program.stop()
    _start(program, registry)
    wait_for(lambda: len([line for line in program.logs() if line["message"] == "list of adapters"]) == 2)
    time.sleep(1)  # enough for many requests
    assert program.adapter("one")["digest"] == first
    program.want(_one(registry, strength=0.5))
    program.until("one", "Pulled", digest=second)


def test_while_the_registry_is_away_the_copy_of_before_serves_on(
    program: Program, registry: Registry
) -> None:
    digest = _push(registry)
    program.want(_one(registry))
    _start(program, registry)
    path = program.until("one", "Pulled")["path"]
    program.stop()
    program.want(_one(registry, strength=0.5))
    program.start()  # it speaks TLS now, which this registry does not
    found = program.until("one", "Pulled", reason="AdapterPulledBefore")
    assert (found["path"], found["digest"], found["strength"]) == (path, digest, 0.5)


@pytest.fixture
def slow(registry: Registry) -> Iterator[type[SlowRegistry]]:
    class Handler(SlowRegistry):
        upstream = registry.host
        held, reached = threading.Event(), threading.Event()
        refusals: list[int] = []  # noqa: RUF012 - one for each test
        damage: list[str] = []  # noqa: RUF012
        tokens: list[str] = []  # noqa: RUF012
        scopes: list[str] = []  # noqa: RUF012

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        Handler.host = f"127.0.0.1:{server.server_port}"  # type: ignore[attr-defined]
        yield Handler
        Handler.held.set()
        server.shutdown()
        thread.join()


def _slow_one(slow: type[SlowRegistry], tag: str = "v1") -> tuple[dict[str, object], tuple[str, str]]:
    host: str = slow.host  # type: ignore[attr-defined]
    return {"name": "one", "image": f"{host}/team/one:{tag}"}, ("--insecure-registry", host)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_ended_in_the_middle_of_a_pull_and_started_again_it_converges(
    program: Program, registry: Registry, slow: type[SlowRegistry], number: int
) -> None:
    digest = _push(registry, os.urandom(1))
    adapter, flags = _slow_one(slow)
    program.want(adapter)
    program.start(*flags)
    assert slow.reached.wait(20)
    assert program.adapter("one")["state"] == "Pulling", "the server waits for it"
    assert program.stop(number) == (0 if number == signal.SIGTERM else -signal.SIGKILL)
    assert list(program.live.glob(".pulling-*")), "it was not in the middle of a pull"
    assert not list(program.live.glob("one@*"))
    slow.held.set()
    program.start(*flags)
    program.until("one", "Pulled", digest=digest)
    assert not list(program.live.glob(".pulling-*"))


def test_a_pull_that_nobody_wants_any_more_ends_without_a_trace(
    program: Program, registry: Registry, slow: type[SlowRegistry]
) -> None:
    _push(registry, os.urandom(1))
    adapter, flags = _slow_one(slow)
    program.want(adapter)
    program.start(*flags)
    assert slow.reached.wait(20)
    program.want()
    wait_for(lambda: program.state()["adapters"] == [])
    slow.held.set()
    wait_for(lambda: not list(program.live.glob(".pulling-*")))
    assert not list(program.live.glob("one@*"))
    assert program.state()["adapters"] == []


@pytest.mark.parametrize("status", [429, 503])
def test_what_may_pass_is_tried_again(
    program: Program, registry: Registry, slow: type[SlowRegistry], status: int
) -> None:
    digest = _push(registry)
    slow.held.set()
    slow.refusals.extend([status, status])
    adapter, flags = _slow_one(slow)
    program.want(adapter)
    program.start(*flags)
    program.until("one", "Failed", reason="RegistryUnreachable")
    program.until("one", "Pulled", digest=digest, reason="")


def test_a_layer_that_arrives_damaged_is_pulled_again(
    program: Program, registry: Registry, slow: type[SlowRegistry]
) -> None:
    digest = _push(registry, os.urandom(1))
    slow.held.set()
    slow.damage.append("layer")
    adapter, flags = _slow_one(slow)
    program.want(adapter)
    program.start(*flags)
    assert "damaged" in program.until("one", "Failed", reason="RegistryUnreachable")["message"]
    program.until("one", "Pulled", digest=digest, reason="")


def test_tokens_are_asked_for_with_the_account_and_renewed_when_they_run_out(
    program: Program, registry: Registry, slow: type[SlowRegistry]
) -> None:
    digest = _push(registry, os.urandom(1))
    slow.held.set()
    slow.account = "Basic " + base64.b64encode(b"robot:s3cret-of-robot").decode()
    adapter, flags = _slow_one(slow)
    program.want(adapter)
    program.start(*flags)
    program.until("one", "Denied")
    auths = {flags[1]: {"username": "robot", "password": "s3cret-of-robot"}}
    program.secret("robot", json.dumps({"auths": auths}))
    program.until("one", "Pulled", digest=digest)
    assert any("scope=repository%3Ateam%2Fone%3Apull" in path for path in slow.scopes)
    assert "s3cret-of-robot" not in program.log.read_text()
    assert "token-" not in program.log.read_text()


def test_it_is_small_and_ends_at_once_when_it_is_told(program: Program, registry: Registry) -> None:
    _push(registry)
    program.want(_one(registry))
    _start(program, registry)
    program.until("one", "Pulled")
    assert program.resident_bytes() < 45 << 20
    assert program.stop() == 0
    assert all({"time", "level", "message"} <= set(line) for line in program.logs())


def test_a_flag_that_is_wrong_ends_it_with_2_and_the_cause(program: Program) -> None:
    program.start("--max-bytes", "0")
    assert program.wait_code() == 2
    assert "--max-bytes" in program.logs()[-1]["error"]
