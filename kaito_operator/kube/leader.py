"""Lease election: both replicas watch, one writes.

The rules that keep two replicas from writing at once:

* another holder's Lease is judged by our own monotonic clock since its record last changed, never by
  the wall clock times inside it, so clock skew between nodes cannot take a Lease away too early;
* `write_budget_s` is what is left of our own term, counted from BEFORE the last successful renewal was
  sent; it reaches zero `LEASE_S - TERM_S` seconds before anyone else may take over;
* every error counts as "not renewed".
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from kaito_operator.kube.client import Kube, Obj, path_of
from kaito_operator.kube.errors import ApiError, Conflict, NotFound

LEASE_S = 15  # others wait this long after the last change they saw
TERM_S = 10.0  # we stop writing this long after our last renewal
RENEW_S = 2.0
REQUEST_TIMEOUT_S = 3.0

logger = logging.getLogger(__name__)


@dataclass
class _Seen:
    """The other holder's record and when we saw it change, on our clock."""

    version: str = ""
    at: float = 0.0


@dataclass
class Elector:
    """Holds, or waits for, one Lease.

    Attributes:
        kube: a client without a fence.
        leading: set while this replica may write.
        on_lead: called when it begins to.
        clock: monotonic seconds; tests give their own.
    """

    kube: Kube
    namespace: str
    name: str
    identity: str
    on_lead: Callable[[], None] = lambda: None
    clock: Callable[[], float] = monotonic
    leading: asyncio.Event = field(default_factory=asyncio.Event)
    _renewed_at: float = field(default=float("-inf"), init=False)
    _seen: _Seen = field(default_factory=_Seen, init=False)
    _lease: Obj | None = field(default=None, init=False)

    def write_budget_s(self) -> float:
        """Seconds for which writes are still safe; zero or less when they are not."""
        return self._renewed_at + TERM_S - self.clock()

    async def run(self) -> None:
        """Try for the Lease, renew it, for ever. Returns when a held Lease was lost."""
        while await self.step():  # noqa: ASYNC110 - a renewal is due by the clock, whatever happens
            await asyncio.sleep(RENEW_S)

    async def step(self) -> bool:
        """Try once to get or to renew the Lease. False when a held Lease was lost."""
        sent_at = self.clock()
        if await self._attempt():
            self._renewed_at = sent_at
            if not self.leading.is_set():
                logger.info("leading", extra={"identity": self.identity, "lease": self.name})
                self.leading.set()
                self.on_lead()
        elif self.leading.is_set() and self.write_budget_s() <= 0:
            self.leading.clear()
            logger.error("lease lost", extra={"identity": self.identity, "lease": self.name})
            return False
        return True

    async def release(self) -> None:
        """Give the Lease back, so that the other replica takes over at once."""
        if self.write_budget_s() <= 0:
            return
        self.leading.clear()
        self._renewed_at = float("-inf")
        with contextlib.suppress(ApiError):
            # Read again: a renewal that was cut off may have been stored all the same.
            lease = await self._read()
            if lease is not None and lease.get("spec", {}).get("holderIdentity") == self.identity:
                await self._put(lease, holder="")

    async def _attempt(self) -> bool:
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                return await self._acquire_or_renew()
        except (ApiError, TimeoutError) as error:
            # A lost race is normal; anything else is worth a line, since it leads to losing the Lease.
            if not isinstance(error, Conflict):
                logger.warning("lease not renewed", extra={"error": str(error) or type(error).__name__})
            self._lease = None
            return False

    async def _acquire_or_renew(self) -> bool:
        lease = self._lease or await self._read()
        if lease is None:
            self._lease = await self._create()
            return True
        spec = lease.get("spec", {})
        holder = spec.get("holderIdentity") or ""
        if holder not in ("", self.identity) and not self._expired(lease):
            self._lease = None
            return False
        self._lease = await self._put(lease, holder=self.identity)
        return True

    def _expired(self, lease: Obj) -> bool:
        version = lease["metadata"]["resourceVersion"]
        if version != self._seen.version:
            self._seen = _Seen(version, self.clock())
            return False
        duration = lease.get("spec", {}).get("leaseDurationSeconds", LEASE_S)
        return self.clock() - self._seen.at > float(duration)

    def _path(self, name: str | None = None) -> str:
        return path_of("coordination.k8s.io/v1", "leases", self.namespace, name)

    async def _read(self) -> Obj | None:
        try:
            return await self.kube.get(self._path(self.name), timeout_s=REQUEST_TIMEOUT_S)
        except NotFound:
            return None

    async def _create(self) -> Obj:
        lease = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": self._spec(self.identity, transitions=0),
        }
        return await self.kube.create(self._path(), lease, timeout_s=REQUEST_TIMEOUT_S)

    async def _put(self, lease: Obj, *, holder: str) -> Obj:
        old = lease.get("spec", {})
        transitions = int(old.get("leaseTransitions", 0)) + (old.get("holderIdentity") != holder)
        spec = self._spec(holder, transitions)
        if old.get("holderIdentity") == holder:
            spec["acquireTime"] = old.get("acquireTime", spec["acquireTime"])
        return await self.kube.replace(
            self._path(self.name), {**lease, "spec": spec}, timeout_s=REQUEST_TIMEOUT_S
        )

    def _spec(self, holder: str, transitions: int) -> dict[str, Any]:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {
            "holderIdentity": holder,
            "leaseDurationSeconds": LEASE_S,
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": transitions,
        }
