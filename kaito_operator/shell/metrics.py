"""What the operator counts, by name. docs/metrics.md lists them all; a test compares."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Metrics:
    """All metrics of one operator process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.reconciles = Counter(
            "kaito_reconcile_total", "Reconciles by result.", ["result"], registry=self.registry
        )
        self.reconcile_seconds = Histogram(
            "kaito_reconcile_seconds",
            "Seconds of one reconcile, writes included.",
            buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5),
            registry=self.registry,
        )
        self.queue_depth = Gauge(
            "kaito_queue_depth", "Workspaces that wait for a worker.", registry=self.registry
        )
        self.retries = Counter(
            "kaito_queue_retries_total", "Reconciles put off after a failure.", registry=self.registry
        )
        self.requests = Counter(
            "kaito_api_requests_total",
            "Requests to the API server, watches apart; code 0 is no answer.",
            ["verb", "code"],
            registry=self.registry,
        )
        self.objects = Gauge(
            "kaito_store_objects", "Objects in memory by kind.", ["kind"], registry=self.registry
        )
        self.event_age = Gauge(
            "kaito_last_event_age_seconds",
            "Seconds since the last watch event.",
            ["kind"],
            registry=self.registry,
        )
        self.leader = Gauge("kaito_leader", "1 while this replica may write.", registry=self.registry)
        self.loop_lag = Gauge(
            "kaito_event_loop_lag_seconds", "How late the event loop last was.", registry=self.registry
        )
        self.workspaces = Gauge("kaito_workspaces", "Workspaces by phase.", ["phase"], registry=self.registry)
