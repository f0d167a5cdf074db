"""Counters by name, as Prometheus text and as v0.3.0's JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from inference_server import cpu
from inference_server.engine import Gpu, Phase
from inference_server.health import Health
from inference_server.scheduling.scheduler import Scheduler
from inference_server.scheduling.stream import Stream

PROMETHEUS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PREFIX = "kaito_inference"
_TOKEN_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


AdapterStates = Callable[[], Mapping[str, int]]


class _LoadCollector(Collector):
    """Reads the scheduler when Prometheus asks: a step pays nothing for it."""

    def __init__(self, load: Scheduler, health: Health, adapters: AdapterStates) -> None:
        self._load = load
        self._health = health
        self._adapters = adapters

    @override
    def collect(self) -> Iterator[Metric]:
        """Yield the gauges and counters of this moment."""
        load, health, kv = self._load, self._health, self._load.kv
        gauges = (
            ("queue_depth", "Requests that wait or run.", load.depth),
            ("requests_waiting", "Requests of which no answer is generated yet.", load.waiting),
            ("batch_rows", "Answers that are generated together now.", load.running_rows),
            ("kv_used_tokens", "Places for keys and values in use, in tokens.", kv.used_tokens),
            ("kv_total_tokens", "Places for keys and values, in tokens; 0: not known.", kv.total_tokens),
            ("ready", "1 while /healthz says 200.", health.phase is Phase.READY),
            ("load_seconds", "From start to ready; 0 until then.", health.load_seconds or 0.0),
            ("load_progress", "How much of the weights is in memory, 0 to 1.", health.progress),
        )
        for name, text, value in gauges:
            yield GaugeMetricFamily(f"{_PREFIX}_{name}", text, value=float(value))
        counters = (
            ("steps", "Steps of the engine.", load.step_count),
            ("step_seconds", "Time in steps of the engine.", load.step_seconds),
            ("step_rows", "Answers in the steps, added up; by steps: the mean batch.", load.rows_stepped),
        )
        for name, text, value in counters:
            yield CounterMetricFamily(f"{_PREFIX}_{name}", text, value=float(value))
        adapters = GaugeMetricFamily(f"{_PREFIX}_adapters", "Adapters by their state.", labels=["state"])
        for state, count in self._adapters().items():
            adapters.add_metric([state], count)
        yield adapters


class Metrics:
    """The counters of one server, in a registry of their own."""

    def __init__(self, model: str, health: Health, load: Scheduler, adapters: AdapterStates = dict) -> None:
        self._registry = registry = CollectorRegistry()
        self._cpu_before: cpu.CpuTimes | None = cpu.cpu_times(cpu.read_text("/proc/stat"))
        Gauge(f"{_PREFIX}_info", "The served model.", ["model"], registry=registry).labels(model).set(1)
        self._requests = Counter(
            f"{_PREFIX}_requests", "Answered requests.", ["route", "code"], registry=registry
        )
        self._seconds = self._histogram(
            "request_seconds", "From the request's header to the end of the answer.", _SECONDS, ["route"]
        )
        self._first_token = self._histogram(
            "first_token_seconds", "From the request's place in the queue to its first token.", _SECONDS
        )
        self._per_token = self._histogram(
            "token_seconds", "Mean time between two tokens of one request.", _TOKEN_SECONDS
        )
        self._tokens_in = Counter(f"{_PREFIX}_prompt_tokens", "Tokens of prompts.", registry=registry)
        self._tokens_out = Counter(f"{_PREFIX}_generated_tokens", "Tokens generated.", registry=registry)
        registry.register(_LoadCollector(load, health, adapters))

    def _histogram(
        self, name: str, text: str, buckets: Sequence[float], labels: Sequence[str] = ()
    ) -> Histogram:
        return Histogram(f"{_PREFIX}_{name}", text, labels, buckets=buckets, registry=self._registry)

    def count_request(self, route: str, code: int, seconds: float) -> None:
        """Count one answered request. `route` is a route's path, never what the client sent."""
        self._requests.labels(route, str(code)).inc()
        self._seconds.labels(route).observe(seconds)

    def count_stream(self, stream: Stream) -> None:
        """Count the tokens and times of one request's stream."""
        self._tokens_in.inc(stream.prompt_tokens)
        self._tokens_out.inc(stream.generated_tokens)
        if stream.first_token_s is None:
            return
        self._first_token.observe(stream.first_token_s)
        if stream.mean_token_s is not None:
            self._per_token.observe(stream.mean_token_s)

    def prometheus_text(self) -> bytes:
        """Return all counters in Prometheus' text format."""
        return generate_latest(self._registry)

    def cpu_entry(self) -> dict[str, object]:
        """Return v0.3.0's `cpu_info`. The load is that since the last call: nothing waits for a sample."""
        now = cpu.cpu_times(cpu.read_text("/proc/stat"))
        load = cpu.load_percent(self._cpu_before, now)
        self._cpu_before = now
        used, total = cpu.memory_bytes(cpu.read_text("/proc/meminfo"))
        logical = cpu.usable_cores()
        return {
            "load_percentage": load,
            "physical_cores": cpu.physical_cores(cpu.read_text("/proc/cpuinfo")) or logical,
            "total_cores": logical,
            "memory": _memory(used, total),
        }

    @staticmethod
    def gpu_entries(gpus: Sequence[Gpu]) -> list[dict[str, object]]:
        """Return v0.3.0's `gpu_info`; null stands for a load or temperature that nobody could read."""
        return [
            {
                "id": gpu.id,
                "name": gpu.name,
                "load": None if gpu.load is None else f"{gpu.load * 100:.2f}%",
                "temperature": None if gpu.temperature_c is None else f"{gpu.temperature_c:g} C",
                "memory": _memory(gpu.memory_used_bytes, gpu.memory_total_bytes),
            }
            for gpu in gpus
        ]


def wants_json(accept: str) -> bool:
    """Say whether an Accept header asks for JSON, as v0.3.0's clients do, and not for text."""
    offered = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    return "application/json" in offered and not any(part.startswith("text/") for part in offered)


def _memory(used_bytes: int, total_bytes: int) -> dict[str, str]:
    gibibyte = 1024**3  # v0.3.0 writes GB and divides by this
    return {"used": f"{used_bytes / gibibyte:.2f} GB", "total": f"{total_bytes / gibibyte:.2f} GB"}
