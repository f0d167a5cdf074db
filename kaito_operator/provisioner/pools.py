"""What is known of the agent pools, in memory: from listings, answers by name, and our own requests.

One listing serves all claims, since Azure allows about one read a second per cluster and lists all pools
in one. An answer counts from the moment at which it was asked for: what is older than our last request
about a pool says nothing of that request.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from time import monotonic

from kaito_operator.provisioner.decision import Sight
from kaito_operator.provisioner.faults import AzureError
from kaito_operator.provisioner.pool import Identity, Pool

LAG_S = 60.0
"""For which a listing may not know yet of a request that was accepted."""

_LONG_AGO = float("-inf")


@dataclass
class _Entry:
    pool: Pool | None
    asked_at: float
    by_name: bool = False
    settled_at: float | None = None
    gone_at: float | None = None


@dataclass
class Pools:
    """See the module's text.

    Attributes:
        identity: whose pools are ours.
        clock: monotonic seconds.
    """

    identity: Identity
    clock: Callable[[], float] = monotonic
    _listed_at: float | None = field(default=None, init=False)
    _entries: dict[str, _Entry] = field(default_factory=dict, init=False)
    _requested_at: dict[str, float] = field(default_factory=dict, init=False)
    _accepted_at: dict[str, float] = field(default_factory=dict, init=False)
    _causes: dict[str, AzureError | None] = field(default_factory=dict, init=False)
    _operations: dict[str, str] = field(default_factory=dict, init=False)

    def __len__(self) -> int:
        return sum(entry.pool is not None for entry in self._entries.values())

    @property
    def listed(self) -> bool:
        """A listing has been answered."""
        return self._listed_at is not None

    def ours(self) -> list[Pool]:
        """The pools that are marked as ours."""
        pools = (entry.pool for entry in self._entries.values())
        return [pool for pool in pools if pool is not None and pool.is_ours(self.identity)]

    def moving(self) -> int:
        """Pools of ours that Azure is working on."""
        return sum(not (pool.is_settled or pool.is_failed) for pool in self.ours())

    def sight(self, name: str) -> Sight:
        """What is known of one pool."""
        entry, now = self._entries.get(name), self.clock()
        asked_at = entry.asked_at if entry else self._listed_at
        if asked_at is None:
            return Sight()
        pool = entry.pool if entry else None
        failed = pool is not None and pool.is_failed
        return Sight(
            pool=pool,
            known=True,
            current=self._is_current(name, entry),
            direct=entry is not None and entry.by_name and entry.pool is None,
            age_s=now - max(asked_at, self._listed_at or _LONG_AGO),
            settled_s=now - entry.settled_at if entry and entry.settled_at is not None else 0.0,
            gone_s=now - entry.gone_at if entry and entry.gone_at is not None else 0.0,
            cause=self._causes.get(name),
            may_have_cause=name not in self._causes and (failed or name in self._operations),
        )

    def take_listing(self, pools: Iterable[Pool], asked_at: float) -> set[str]:
        """Take in the answer to a listing. Returns the names of the pools that changed."""
        self._listed_at = asked_at
        present = {pool.name: pool for pool in pools}
        changed = set()
        for name in {*present, *self._entries}:
            pool, entry = present.get(name), self._entries.get(name)
            if entry is not None and self._is_behind(name, entry, pool, asked_at):
                continue
            if pool is not None:
                self._accepted_at.pop(name, None)  # listings know of our request: from now on they count
            if entry is None or self._differs(entry, pool):
                changed.add(name)
                self._put(name, pool, asked_at)
            elif pool is not None:
                self._put(name, pool, asked_at)
        return changed

    def take(self, name: str, pool: Pool | None, asked_at: float) -> None:
        """Take in the answer to a question about one pool."""
        self._put(name, pool, asked_at, by_name=True)

    def requested(self, name: str) -> None:
        """A request about this pool was sent, and may have been carried out."""
        self._requested_at[name] = self.clock()

    def accepted(self, pool: Pool) -> None:
        """Azure began to create the pool."""
        self.requested(pool.name)
        self._accepted_at[pool.name] = self.clock()
        self._causes.pop(pool.name, None)
        if pool.operation:
            self._operations[pool.name] = pool.operation
        self._put(pool.name, pool, self.clock())

    def leaving(self, name: str) -> None:
        """Azure began to delete the pool."""
        self.requested(name)
        self._accepted_at[name] = self.clock()
        entry = self._entries.get(name)
        if entry is not None and entry.pool is not None:
            self._put(name, replace(entry.pool, state="Deleting"), self.clock())

    def explained(self, name: str, cause: AzureError | None) -> None:
        """What Azure said of the failure; None when it said nothing."""
        self._causes[name] = cause

    def operation(self, name: str) -> str:
        """Address of the operation that makes the pool, while this process knows it."""
        return self._operations.get(name, "")

    def forget(self, name: str) -> None:
        """The claim of this pool is gone. What is there stays in the listings."""
        for memory in (self._requested_at, self._accepted_at, self._causes, self._operations):
            memory.pop(name, None)
        entry = self._entries.get(name)
        if entry is not None and entry.pool is None:
            del self._entries[name]

    def _is_current(self, name: str, entry: _Entry | None) -> bool:
        """No request of ours is newer; that a pool is missing after one is believed by name only."""
        if name not in self._requested_at:
            return True
        if entry is None or (entry.pool is None and not entry.by_name):
            return False
        return entry.asked_at >= self._requested_at[name]

    def _is_behind(self, name: str, entry: _Entry, pool: Pool | None, asked_at: float) -> bool:
        """The listing does not know yet of our last request, or of an answer that is newer."""
        if asked_at < entry.asked_at:
            return True
        if asked_at >= self._accepted_at.get(name, _LONG_AGO) + LAG_S or entry.pool is None:
            return False
        if entry.pool.is_deleting:
            return pool is not None and not (pool.is_deleting or pool.is_failed)
        return pool is None

    def _differs(self, entry: _Entry, pool: Pool | None) -> bool:
        if entry.pool is None or pool is None:
            return entry.pool is not pool
        return (entry.pool.state, entry.pool.tags) != (pool.state, pool.tags)

    def _put(self, name: str, pool: Pool | None, asked_at: float, *, by_name: bool = False) -> None:
        old, now = self._entries.get(name), self.clock()
        settled = pool is not None and pool.is_settled
        settled_at = (old.settled_at if old and old.settled_at is not None else now) if settled else None
        gone_at = None
        if pool is None and by_name:
            gone_at = old.gone_at if old and old.gone_at is not None else now
        self._entries[name] = _Entry(pool, asked_at, by_name, settled_at, gone_at)
        if pool is not None and pool.error is not None:
            self._causes[name] = pool.error
