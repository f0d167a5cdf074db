"""Counters as Prometheus reads them, v0.3.0's JSON of GPUs, and when it is asked for."""

import re
from collections.abc import Mapping

import pytest

from inference_server.engine import Gpu, KvUsage, Phase, Token
from inference_server.health import Health
from inference_server.metrics import Metrics, wants_json
from inference_server.scheduling.scheduler import Limits, Scheduler
from inference_server.scheduling.stream import Delta, Stream
from tests.unit.inference_server.scripted import ScriptedEngine, generation

GIB = 1024**3


def test_a_gpu_is_written_as_in_v0_3_0_with_its_real_memory() -> None:
    gpu = Gpu("GPU-1", "H100", 0.25, 55.0, 10 * GIB, 80 * GIB)
    assert Metrics.gpu_entries([gpu]) == [
        {
            "id": "GPU-1",
            "name": "H100",
            "load": "25.00%",
            "temperature": "55 C",
            "memory": {"used": "10.00 GB", "total": "80.00 GB"},
        }
    ]


def test_what_nobody_could_read_is_null() -> None:
    (entry,) = Metrics.gpu_entries([Gpu("GPU-1", "H100", None, None, 0, GIB)])
    assert entry["load"] is None
    assert entry["temperature"] is None


@pytest.mark.parametrize(
    ("accept", "json"),
    [
        ("application/json", True),
        ("application/json;q=0.9, */*", True),
        ("*/*", False),
        ("", False),
        ("text/plain, application/json", False),
        ("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", False),
    ],
)
def test_json_is_for_clients_that_ask_for_it(accept: str, json: bool) -> None:
    assert wants_json(accept) is json


def read(metrics: Metrics, name: str, labels: str = "") -> float:
    pattern = rf"^kaito_inference_{name}{re.escape(labels)} (\S+)$"
    found = re.search(pattern, metrics.prometheus_text().decode(), re.MULTILINE)
    assert found is not None, name
    return float(found[1])


class Bench:
    def __init__(self, adapters: Mapping[str, int] | None = None) -> None:
        self.engine = ScriptedEngine()
        self.scheduler = Scheduler(self.engine, Limits(2, 5, 60.0), print)
        self.health = Health("m")
        self.metrics = Metrics("m", self.health, self.scheduler, lambda: adapters or {})


async def test_the_load_is_read_when_it_is_asked_for() -> None:
    bench = Bench()
    streams = [bench.scheduler.submit(generation("abc")) for _ in range(3)]
    assert (read(bench.metrics, "queue_depth"), read(bench.metrics, "ready")) == (3.0, 0.0)
    for stream in streams:
        await stream.collect()
    assert read(bench.metrics, "queue_depth") == 0
    assert read(bench.metrics, "steps_total") == bench.scheduler.step_count > 0
    assert read(bench.metrics, "step_rows_total") == 3 * 4
    assert read(bench.metrics, "step_seconds_total") > 0


async def test_keys_and_values_are_counted_in_tokens() -> None:
    bench = Bench()
    assert read(bench.metrics, "kv_total_tokens") == 0  # there is no batch before the load
    bench.engine.batch.usage = lambda: KvUsage(300, 4096)  # type: ignore[method-assign]
    await bench.scheduler.submit(generation("a")).collect()
    assert (read(bench.metrics, "kv_used_tokens"), read(bench.metrics, "kv_total_tokens")) == (300, 4096)


def test_the_progress_of_a_load_is_a_gauge() -> None:
    bench = Bench()
    bench.health.enter(Phase.WEIGHTS, 0.3)
    assert read(bench.metrics, "load_progress") == 0.3
    bench.health.enter(Phase.READY)
    assert (read(bench.metrics, "load_progress"), read(bench.metrics, "ready")) == (1.0, 1.0)


def test_adapters_are_counted_by_their_state() -> None:
    bench = Bench({"Loaded": 2, "Refused": 1})
    assert read(bench.metrics, "adapters", '{state="Loaded"}') == 2
    assert read(bench.metrics, "adapters", '{state="Refused"}') == 1


def test_a_stream_leaves_its_tokens_and_times() -> None:
    bench = Bench()
    clock = iter([0.0, 0.2, 0.3])
    stream = Stream(1, 40, lambda: None, lambda: next(clock))
    for text in "ab":
        stream.deliver([Delta(0, text, Token(ord(text)))])
    bench.metrics.count_stream(stream)
    assert read(bench.metrics, "prompt_tokens_total") == 40
    assert read(bench.metrics, "generated_tokens_total") == 2
    assert read(bench.metrics, "first_token_seconds_sum") == pytest.approx(0.2)
    assert read(bench.metrics, "token_seconds_sum") == pytest.approx(0.1)


def test_requests_are_counted_by_route_and_code() -> None:
    bench = Bench()
    for code in (200, 200, 429):
        bench.metrics.count_request("/chat", code, 0.1)
    assert read(bench.metrics, "requests_total", '{code="200",route="/chat"}') == 2
    assert read(bench.metrics, "requests_total", '{code="429",route="/chat"}') == 1
