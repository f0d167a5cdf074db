"""A cluster and a cloud in memory around the real provisioner, in which time is a number.

Every call of the provisioner to either passes two gates, before and after it has its effect. A gate may end
the process: what it remembered is lost, and a new one starts from the objects.
"""

import copy
import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from kaito_operator.kube.client import Kube
from kaito_operator.kube.errors import ApiError
from kaito_operator.provisioner.azure_calls import AzureCalls
from kaito_operator.provisioner.claims import ClaimKey
from kaito_operator.provisioner.cloud import CloudFault
from kaito_operator.provisioner.collector import Collector
from kaito_operator.provisioner.decision import Budgets, Context
from kaito_operator.provisioner.memory import Troubles
from kaito_operator.provisioner.metrics import Metrics
from kaito_operator.provisioner.operations import Operations
from kaito_operator.provisioner.perform import Performer
from kaito_operator.provisioner.pool import Identity
from kaito_operator.provisioner.pools import Pools
from kaito_operator.provisioner.reconciler import COLLECT, POOLS, Reconciler
from kaito_operator.provisioner.stores import ClaimStores
from tests.unit.provisioner.fake_api import Api
from tests.unit.provisioner.fake_cloud import FakeCloud
from tests.unit.provisioner.objects import CLUSTER, START, Obj, at, readiness

IDENTITY = Identity(CLUSTER, "eastus")
COLLECT_S = 120.0
BUDGETS = Budgets(launch=300, registration=240, initialization=240, drain=300)
POLL_S = 10.0


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Gates:
    """Counts the points at which the process can end, and ends it at some."""

    world: "World"
    kill_at: frozenset[int] = frozenset()
    passed: int = 0

    def point(self) -> None:
        self.passed += 1
        self.world.check()
        if self.passed in self.kill_at:
            raise Killed


@dataclass
class World:
    """Everything, and the clock.

    Attributes:
        lazy: watch events arrive only when the provisioner has nothing else to do.
    """

    kill_at: frozenset[int] = frozenset()
    budgets: Budgets = BUDGETS
    lazy: bool = False
    now: float = 0.0
    ticks: int = 0

    def __post_init__(self) -> None:
        self.gates = Gates(self, self.kill_at)
        self.api = Api(self)
        self.cloud = FakeCloud(self)
        self.bodies: dict[str, str] = {}
        self.kills = 0
        self._plans: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = 0
        self.process = Process(self)

    def at(self, seconds: float, do: Callable[[], object]) -> None:
        """Let something happen at a moment."""
        self._sequence += 1
        heapq.heappush(self._plans, (seconds, self._sequence, cast("Callable[[], None]", do)))

    def tick(self) -> float:
        """Monotonic seconds: no two looks at a clock see the same."""
        self.ticks += 1
        return self.now + self.ticks * 1e-7

    def later(self, seconds: float, do: Callable[[], object]) -> None:
        """Let something happen after a while."""
        self.at(self.now + seconds, do)

    async def run(self, until: float) -> None:
        """Let time pass to a moment; the provisioner does its work at once whenever it has some."""
        while True:
            try:
                await self.process.work()
            except Killed:
                self.kills += 1
                self.process = Process(self)
                continue
            due = [
                t
                for t in (self.process.next_due(), self._plans[0][0] if self._plans else None)
                if t is not None
            ]
            if not due or min(due) > until:
                self.now = until
                return
            self.now = max(self.now, min(due))
            while self._plans and self._plans[0][0] <= self.now:
                heapq.heappop(self._plans)[2]()
            self._collect_orphaned_nodes()
            self.check()

    # Invariants.

    def check(self) -> None:
        """At most one pool for each claim."""
        uids = [pool.uid for pool in self.cloud.pools.values()]
        assert len(uids) == len(set(uids)), uids

    def claim_gone(self, obj: Obj) -> None:
        """No claim ends while its pool exists."""
        if obj["kind"] in ("Machine", "NodeClaim"):
            left = [name for name, pool in self.cloud.pools.items() if pool.uid == obj["metadata"]["uid"]]
            assert left == [], "the finalizer went while the pool was there"

    def put(self, name: str, body: Mapping[str, Any]) -> None:
        """Every request for the pool of a claim is the same to the byte, and no pool is asked for twice."""
        uid = body["properties"]["tags"]["kaito-claim-uid"]
        text = repr((name, body))
        assert self.bodies.setdefault(uid, text) == text

    def _collect_orphaned_nodes(self) -> None:
        """Kubernetes deletes what its owner is gone of."""
        live = {obj["metadata"]["uid"] for obj in self.api.objects.values()}
        for (kind, name), obj in list(self.api.objects.items()):
            owners = obj["metadata"].get("ownerReferences") or ()
            if owners and not any(owner["uid"] in live for owner in owners):
                self.api.remove(kind, name)

    # Looks and pushes.

    def find(self, name: str) -> Obj | None:
        found = (obj for (kind, n), obj in self.api.objects.items() if n == name and kind != "Node")
        return next(found, None)

    def condition(self, name: str, kind: str) -> tuple[str, str]:
        obj = self.find(name) or {}
        entries = obj.get("status", {}).get("conditions", ())
        return next(((c["status"], c.get("reason", "")) for c in entries if c["type"] == kind), ("", ""))

    def nodes(self) -> list[Obj]:
        return [obj for (kind, _), obj in self.api.objects.items() if kind == "Node"]

    def set_ready(self, node: str, ready: bool) -> None:
        self.api.patch("Node", node, {"status": {"conditions": [readiness(ready, self.now)]}})

    def speak(self, node: str) -> None:
        """The kubelet renews its Lease."""
        lease = {"kind": "Lease", "metadata": {"name": node, "uid": "l"}, "spec": {"renewTime": at(self.now)}}
        self.api.objects["Lease", node] = lease

    @property
    def is_clean(self) -> bool:
        """Nothing is left of anything."""
        left = [key for key in self.api.objects if key[0] != "Lease"]
        return not left and not self.cloud.pools


class Process:
    """One life of the provisioner: its memory and its queue."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.stores = ClaimStores()
        self._due: dict[ClaimKey, float] = {}
        self._failures: dict[ClaimKey, int] = {}
        clock = world.tick
        kube = cast(Kube, world.api)
        metrics = Metrics()
        pools = Pools(IDENTITY, clock)
        self.azure = AzureCalls(
            cloud=world.cloud,
            pools=pools,
            operations=Operations(self.wake, pools.moving, clock),
            troubles=Troubles(15.0, lambda: 2.0, clock),
            metrics=metrics,
            may_write=lambda: True,
            list_soon=lambda: self.wake(POOLS),
            clock=clock,
        )
        performer = Performer(kube, self.azure, self.stores, self._moment)
        self.reconciler = Reconciler(
            stores=self.stores,
            azure=self.azure,
            performer=performer,
            context=lambda: Context(IDENTITY, world.budgets, self._moment()),
            metrics=metrics,
            wake=self.wake,
            wake_after=self.wake_after,
            poll_s=POLL_S,
        )
        self.collector = Collector(self.stores, self.azure, self.reconciler, metrics)
        world.api.events.clear()
        for obj in world.api.objects.values():
            self._take("ADDED", copy.deepcopy(obj))
        self.wake(POOLS)
        self.wake_after(COLLECT, COLLECT_S)

    def wake(self, key: ClaimKey) -> None:
        self._due[key] = min(self._due.get(key, self.world.now), self.world.now)

    def wake_after(self, key: ClaimKey, seconds: float) -> None:
        due = self.world.now + seconds
        self._due[key] = min(self._due.get(key, due), due)

    def next_due(self) -> float | None:
        return min(self._due.values(), default=None)

    async def work(self) -> None:
        """Do all that is due."""
        for _ in range(2000):
            if not self.world.lazy:
                self._deliver()
            ready = sorted((due, key) for key, due in self._due.items() if due <= self.world.now)
            if not ready:
                if not self.world.api.events:
                    return
                self._deliver()
                continue
            await self._step(ready[0][1])
        raise AssertionError(f"the provisioner does not come to rest: {self._due}")

    async def _step(self, key: ClaimKey) -> None:
        del self._due[key]
        try:
            if key == COLLECT:
                self.wake_after(COLLECT, COLLECT_S)
                await self.collector.collect()
                return
            again = await self.reconciler.reconcile(key)
        except (ApiError, CloudFault):
            self._failures[key] = self._failures.get(key, 0) + 1
            self.wake_after(key, min(0.1 * 2 ** self._failures[key], 60.0))
            return
        self._failures.pop(key, None)
        if again is not None:
            self.wake_after(key, again)

    def _deliver(self) -> None:
        events, self.world.api.events = self.world.api.events, []
        for event, obj in events:
            self._take(event, obj)

    def _take(self, event: str, obj: Obj) -> None:
        if obj["kind"] in ("Pod", "Lease"):
            return
        store = self.stores.of(obj["kind"])
        if event == "DELETED":
            gone = store.delete(obj["metadata"])
            if gone is not None:
                self.stores.unindex(gone)
            keys = self.stores.keys_of(gone)
        else:
            old, changed = store.put(obj)
            held = store.get("", obj["metadata"]["name"])
            if not changed or held is None:
                return
            self.stores.index(old, held)
            keys = self.stores.keys_of(old) | self.stores.keys_of(held)
        for key in keys:
            self.wake(key)

    def _moment(self) -> datetime:
        return START + timedelta(seconds=self.world.now)
