"""What the provisioner counts, by name. docs/gpu-provisioner.md lists them all; a test compares."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_PREFIX = "kaito_provisioner"


class Metrics:
    """All metrics of one provisioner process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.reconciles = self._counter("reconcile_total", "Reconciles by result.", "result")
        self.reconcile_seconds = Histogram(
            f"{_PREFIX}_reconcile_seconds",
            "Seconds of one reconcile, writes included.",
            buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30),
            registry=self.registry,
        )
        self.launch_seconds = Histogram(
            f"{_PREFIX}_launch_seconds",
            "Seconds from taking up a claim to its node being usable.",
            buckets=(5, 30, 60, 120, 180, 240, 300, 420, 600, 900, 1200),
            registry=self.registry,
        )
        self.requests = self._counter(
            "api_requests_total",
            "Requests to the API server, watches apart; code 0 is no answer.",
            "verb",
            "code",
        )
        self.arm_requests = self._counter(
            "arm_requests_total", "Requests to Azure by outcome: ok, or the reason.", "request", "outcome"
        )
        self.strays = self._counter("stray_pools_deleted_total", "Pools deleted because no claim wants them.")
        self.strays_seen = self._gauge(
            "stray_pools", "Pools of ours without a claim at the last look, deleted or (dry run) not."
        )
        self.pools = self._gauge("pools", "Agent pools of ours by state.", "state")
        self.claims = self._gauge(
            "claims", "Claims by kind and by the reason of their first open step.", "kind", "state"
        )
        self.window = self._gauge("arm_window", "Writes to Azure that may be under way at once.")
        self.gate_seconds = self._gauge("arm_gate_seconds", "Seconds for which Azure wants no request.")
        self.queue_depth = self._gauge("queue_depth", "Claims that wait for a worker.")
        self.event_age = self._gauge("last_event_age_seconds", "Seconds since the last watch event.", "kind")
        self.leader = self._gauge("leader", "1 while this replica may write.")
        self.loop_lag = self._gauge("event_loop_lag_seconds", "How late the event loop last was.")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{_PREFIX}_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"{_PREFIX}_{name}", text, labels, registry=self.registry)
