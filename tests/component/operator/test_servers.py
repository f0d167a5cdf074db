"""The operator asks real HTTP servers for their adapters, and no answer can harm it."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from kaito_operator.reconcile.decision import PodRef, ServerAddress
from kaito_operator.reconcile.observed import AdapterReport
from kaito_operator.shell.servers import Servers
from kaito_operator.shell.stores import Stores
from tests.support.objects import NOW, a_pod

pytestmark = pytest.mark.component

POD = PodRef("ns", "ws-1", "uid-ws-1")
LOADED = {"name": "poet", "image": "reg/poet:1", "digest": "sha256:1", "strength": 0.5, "state": "Loaded"}


class Bench:
    """One server, whose answer is the test's to say, and the operator's memory of it."""

    def __init__(self) -> None:
        self.answer: web.StreamResponse | Exception = web.json_response({})
        self.wait_s = 0.0
        self.stores = Stores()
        self.stores.pods.put(a_pod())
        self.now = NOW
        self.port = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        assert request.path == "/adapters"
        await asyncio.sleep(self.wait_s)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def ask(self, ip: str = "127.0.0.1", port: int = 0) -> AdapterReport:
        async with Servers(self.stores, lambda: self.now, port or self.port) as servers:
            await servers.ask((ServerAddress(POD, ip, "ws t", "g2"),))
        return self.stores.adapter_reports[POD.uid]


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", bench.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    bench.port = runner.addresses[0][1]
    yield bench
    await runner.cleanup()


def answer(**fields: Any) -> web.Response:
    return web.json_response({"generation": "g2", "engine": "transformers", "notes": [], **fields})


async def test_what_a_server_says_is_remembered(bench: Bench) -> None:
    bench.answer = answer(adapters=[LOADED])
    report = await bench.ask()
    assert (report.generation, report.asked_for, report.started, report.trouble) == ("g2", "g2", "ws t", "")
    assert [(a.name, a.state, a.digest, a.message) for a in report.adapters] == [
        ("poet", "Loaded", "sha256:1", "")
    ]


async def test_the_same_answer_is_counted_and_another_starts_over(bench: Bench) -> None:
    bench.answer = answer(adapters=[LOADED])
    assert (await bench.ask()).tries == 0
    bench.now += timedelta(seconds=1)
    bench.answer = answer(adapters=[LOADED])
    assert (await bench.ask()).tries == 1
    bench.answer = answer(adapters=[])
    assert (await bench.ask()).tries == 0


ANSWERS = [
    ("an error", web.Response(status=500)),
    ("another place", web.Response(status=302, headers={"Location": "/elsewhere"})),
    ("no JSON", web.Response(text="<html>")),
    ("a list", web.Response(text="[]")),
    ("too much", web.Response(body=b"{}" + b" " * 300_000)),
    ("no text", web.Response(body=b"\xff\xfe")),
]


@pytest.mark.parametrize("said", [row[1] for row in ANSWERS], ids=[row[0] for row in ANSWERS])
async def test_what_is_no_answer_is_trouble(bench: Bench, said: web.Response) -> None:
    bench.answer = said
    report = await bench.ask()
    assert report.trouble.startswith("its server does not answer the operator: ")
    assert report.adapters == ()


async def test_an_answer_with_the_wrong_types_is_read_as_far_as_it_goes(bench: Bench) -> None:
    bench.answer = web.Response(text=json.dumps({"generation": 7, "adapters": [1, {"name": ["x"]}, None]}))
    report = await bench.ask()
    assert (report.generation, report.trouble) == ("", "")
    assert [a.name for a in report.adapters] == [""]


async def test_a_server_that_is_silent_is_left_after_two_seconds(bench: Bench) -> None:
    bench.wait_s = 5
    async with asyncio.timeout(4):
        report = await bench.ask()
    assert report.trouble


async def test_nobody_at_the_address_is_trouble_and_not_an_error(bench: Bench) -> None:
    assert (await bench.ask(port=1)).trouble


async def test_proxies_of_the_environment_are_not_used(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    bench.answer = answer(adapters=[])
    assert (await bench.ask()).trouble == ""


async def test_what_a_pod_that_is_gone_said_is_not_kept(bench: Bench) -> None:
    bench.stores.pods.delete({"namespace": "ns", "name": "ws-1", "uid": "uid-ws-1", "resourceVersion": "9"})
    with pytest.raises(KeyError):
        await bench.ask()
