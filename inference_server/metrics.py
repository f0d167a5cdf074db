"""Counters by name, as Prometheus text and as v0.3.0's JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from inference_server import cpu
from inference_server.engine import Gpu, Phase
from inference_server.health import Health

PROMETHEUS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Metrics:
    """The counters of one server, in a registry of their own."""

    def __init__(self, model: str, health: Health, queue_depth: Callable[[], int]) -> None:
        self._registry = registry = CollectorRegistry()
        self._health = health
        self._cpu_before: cpu.CpuTimes | None = cpu.cpu_times(cpu.read_text("/proc/stat"))
        prefix = "kaito_inference"
        Gauge(f"{prefix}_info", "The served model.", ["model"], registry=registry).labels(model).set(1)
        self._requests = Counter(
            f"{prefix}_requests", "Answered requests.", ["route", "code"], registry=registry
        )
        self._seconds = Histogram(
            f"{prefix}_request_seconds",
            "From the request's header to the end of the answer.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._tokens_in = Counter(f"{prefix}_prompt_tokens", "Tokens of prompts.", registry=registry)
        self._tokens_out = Counter(f"{prefix}_generated_tokens", "Tokens generated.", registry=registry)
        depth = Gauge(f"{prefix}_queue_depth", "Requests that wait or run.", registry=registry)
        depth.set_function(queue_depth)
        ready = Gauge(f"{prefix}_ready", "1 while /healthz says 200.", registry=registry)
        ready.set_function(lambda: health.phase is Phase.READY)
        load = Gauge(f"{prefix}_load_seconds", "From start to ready; 0 until then.", registry=registry)
        load.set_function(lambda: health.load_seconds or 0.0)

    def count_request(self, route: str, code: int, seconds: float) -> None:
        """Count one answered request. `route` is a route's path, never what the client sent."""
        self._requests.labels(route, str(code)).inc()
        self._seconds.labels(route).observe(seconds)

    def count_tokens(self, tokens_in: int, tokens_out: int) -> None:
        """Count the tokens of one generation."""
        self._tokens_in.inc(tokens_in)
        self._tokens_out.inc(tokens_out)

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
