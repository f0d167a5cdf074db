"""Azure in memory: pools that are created and deleted in their time, and answers that say no."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kaito_operator.provisioner.cloud import CloudFault, PoolExists
from kaito_operator.provisioner.faults import AzureError, Fault
from kaito_operator.provisioner.pool import Pool
from kaito_operator.provisioner.requirements import LaunchPlan
from tests.unit.provisioner.objects import Obj, a_node

if TYPE_CHECKING:
    from tests.unit.provisioner.world import World

CREATE_S, DELETE_S = 65.0, 35.0


@dataclass
class FakePool:
    """A pool of the cloud."""

    body: Obj
    state: str = "Creating"
    error: AzureError | None = None
    nodes: int = 1

    @property
    def uid(self) -> str:
        return str(self.body["properties"]["tags"]["kaito-claim-uid"])


@dataclass
class FakeCloud:
    """Azure.

    Attributes:
        answers: the next ones to a PUT; "drop" loses the answer after the effect.
        partings: the same to a DELETE.
        reads: the next ones to a GET or a listing.
        fails: with which the next pools end Failed.
        joins: whether nodes join.
        others: pools that are not ours.
        blind: listings leave our pools out.
        busy: a write is refused while another pool is in motion, as AKS does it on some clusters.
        asked: names in requests to create a pool, whatever the answer.
    """

    world: "World"
    pools: dict[str, FakePool] = field(default_factory=dict)
    answers: list[AzureError | str] = field(default_factory=list)
    partings: list[AzureError | str] = field(default_factory=list)
    reads: list[AzureError] = field(default_factory=list)
    fails: list[AzureError] = field(default_factory=list)
    joins: bool = True
    others: int = 1
    blind: bool = False
    busy: bool = False
    asked: list[str] = field(default_factory=list)
    puts: list[tuple[str, str]] = field(default_factory=list)
    deletes: list[str] = field(default_factory=list)
    causes: dict[str, AzureError] = field(default_factory=dict)

    async def list_pools(self) -> list[Pool]:
        self._read()
        found = [] if self.blind else [self._told(name) for name in self.pools]
        found += [Pool(f"system{n}", "Succeeded") for n in range(self.others)]
        self.world.gates.point()
        return found

    async def get_pool(self, name: str) -> Pool | None:
        self._read()
        found = self._told(name) if name in self.pools else None
        self.world.gates.point()
        return found

    async def put_pool(self, name: str, body: Mapping[str, Any]) -> Pool:
        self.world.gates.point()
        self.world.put(name, body)
        self.asked.append(name)
        dropped = self._answer(self.answers)
        if name in self.pools:
            raise PoolExists(AzureError(412, "PreconditionFailed"))
        self.pools[name] = FakePool(copy.deepcopy(dict(body)))
        self.puts.append((name, self.pools[name].uid))
        self.world.later(CREATE_S, lambda: self._created(name))
        self.world.gates.point()
        self._drop(dropped)
        return Pool(name, "Creating", tags=self._told(name).tags, operation=f"op-{name}")

    async def delete_pool(self, name: str, *, ignore_pdb: bool) -> None:
        self.world.gates.point()
        dropped = self._answer(self.partings)
        pool = self.pools.get(name)
        if pool is not None:
            self.deletes.append(name)
            pool.state = "Deleting"
            self.world.later(DELETE_S, lambda: self.gone(name))
        self.world.gates.point()
        self._drop(dropped)

    async def cause_of(self, name: str, operation: str) -> AzureError | None:
        self.world.gates.point()
        return self.causes.get(name) if operation else None

    async def refusal(self, plan: LaunchPlan) -> Fault | None:
        self.world.gates.point()
        return None

    def gone(self, name: str) -> None:
        """The pool and its VM are no more; AKS takes the Node with it."""
        pool = self.pools.pop(name, None)
        for number in range(10) if pool else ():
            key = ("Node", f"aks-{name}-12345678-vmss{number:06d}")
            if key in self.world.api.objects:
                self.world.api.remove(*key)

    def _read(self) -> None:
        self.world.gates.point()
        if self.reads:
            raise CloudFault(self.reads.pop(0))

    def _answer(self, answers: list[AzureError | str]) -> bool:
        answer = answers.pop(0) if answers else None
        if self.busy and any(pool.state in ("Creating", "Deleting") for pool in self.pools.values()):
            raise CloudFault(AzureError(409, "OperationNotAllowed", "another operation is in progress"))
        if isinstance(answer, AzureError):
            raise CloudFault(answer)
        return answer == "drop"

    def _drop(self, dropped: bool) -> None:
        if dropped:
            raise CloudFault(AzureError(0, "", "connection lost"))

    def _told(self, name: str) -> Pool:
        pool = self.pools[name]
        properties = pool.body["properties"]
        return Pool(name, pool.state, properties["vmSize"], dict(properties.get("tags") or {}), pool.error)

    def _created(self, name: str) -> None:
        pool = self.pools.get(name)
        if pool is None or pool.state != "Creating":
            return
        if self.fails:
            pool.state, self.causes[name] = "Failed", self.fails.pop(0)
            return
        pool.state = "Succeeded"
        if self.joins:
            labels = dict(pool.body["properties"]["nodeLabels"])
            self.world.api.add(a_node(name, created=self.world.now, labels=labels))
