"""The state of the simulated cloud and everything that changes it. All of it runs in one event loop."""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

from tools.simcloud.admission import Timing, check_conditions, check_idle, check_quota, check_size, used
from tools.simcloud.behaviours import Launch
from tools.simcloud.chains import Chains
from tools.simcloud.errors import ArmError, SimCloudError
from tools.simcloud.lifecycle import USUAL, Lifecycle
from tools.simcloud.machines import Machines
from tools.simcloud.operations import Operation
from tools.simcloud.pool import Home, Pool
from tools.simcloud.request import check
from tools.simcloud.sizes import Size
from tools.simcloud.state import State
from tools.simcloud.store import Store

Json = dict[str, Any]


class Fabric:
    """Pools, operations and quotas.

    Attributes:
        quotas: vCPUs by lower-case name of the quota; a missing one is not limited.

    Args:
        home: the cluster.
        sizes: VM sizes by lower-case name.
        store: where the state is kept.
        machines: boots nodes.
        timing: see there.
    """

    def __init__(
        self, home: Home, sizes: Mapping[str, Size], store: Store, machines: Machines, timing: Timing
    ) -> None:
        self.home, self.sizes = home, sizes
        self._state, self._machines, self._timing = State(store), machines, timing
        self.quotas: dict[str, int] = {}
        self._chains = Chains()
        self._life = Lifecycle(self._state, self._chains, machines, timing)

    @property
    def pools(self) -> dict[str, Pool]:
        """Pools by name."""
        return self._state.pools

    @property
    def operations(self) -> dict[str, Operation]:
        """Operations by id, oldest first."""
        return self._state.operations

    def load(self) -> None:
        """Read the state that the last process left.

        Raises:
            SimCloudError: it is of another cluster.
        """
        self._state.load()
        for name in self.pools:
            self._life.stay(name)

    def resume(self, *, restores: bool) -> None:
        """Go on with what was under way (restores), or only get ready to delete it."""
        for pool in self.pools.values():
            if restores:
                self._chains.append(pool.name, partial(self._life.restore, pool))
            elif pool.state == "Deleting":
                pool.state = "Failed"  # so that its deletion can begin anew

    async def stop(self) -> None:
        """End all work where it stands; the state file knows how far it was."""
        await self._chains.stop()
        await asyncio.to_thread(self._machines.close)
        self._state.save()

    def put(
        self, name: str, properties: Json, launch: Launch | None, if_match: str | None, if_none: str | None
    ) -> bool:
        """Create a pool or change it; what the PUT starts goes on by itself.

        Returns:
            True for a new pool.

        Raises:
            ArmError: it is refused.
        """
        pool = self.pools.get(name)
        check_conditions(pool, if_match, if_none)
        check(name, properties)
        if pool and pool.state == "Creating" and pool.properties == properties:
            return False  # the same request again, such as after a lost answer
        check_idle(self._state.running(), name, serialised=self._timing.serialised)
        size = check_size(self.sizes, str(properties["vmSize"]), self.home.location)
        others = [other for other in self.pools.values() if other.name != name]
        check_quota(size, properties, used(others, self.sizes), self.quotas)
        created = pool is None
        if pool:
            self._change(pool, properties)
        else:
            pool = self._add(name, properties, size)
        self._state.begin(pool, "create")
        self._chains.append(name, partial(self._life.launch, pool, launch or USUAL))
        return created

    def delete(self, name: str, seconds: float | None) -> bool:
        """Start the deletion of a pool; repeating it is fine.

        Returns:
            False where there is no such pool.
        """
        pool = self.pools.get(name)
        if pool is None:
            return False
        if pool.state == "Deleting":
            return True
        if self._timing.serialised:
            check_idle(self._state.running(), name, serialised=True)
        if self._state.busy(pool):
            self.operations[pool.operation].end(
                "Canceled", "OperationPreempted", "The pool is being deleted."
            )
        pool.state = "Deleting"
        self._life.leave(name)
        self._state.begin(pool, "delete")
        delay = self._timing.delete_s if seconds is None else seconds
        self._chains.append(name, partial(self._life.delete, pool, delay))
        return True

    async def evict(self, name: str) -> None:
        """Take all VMs of a pool back; the pool stays and still says Succeeded, as a spot pool does."""
        pool = self._state.find(name)
        await self._chains.append(name, partial(self._life.evict, pool))

    async def kill(self, name: str) -> None:
        """Let all nodes of a pool die; the pool does not notice."""
        pool = self._state.find(name)
        await self._chains.append(name, partial(self._life.kill, pool))

    async def upgrade(self, name: str, overlap_s: float | None = None) -> None:
        """Bring nodes with a newer image, then remove the older ones.

        Args:
            name: of the pool.
            overlap_s: seconds in which both are there; None takes as long as a creation.
        """
        pool = self._state.find(name)
        delay = self._timing.create_s if overlap_s is None else overlap_s
        await self._chains.append(name, partial(self._life.upgrade, pool, delay))

    async def remove(self, name: str) -> None:
        """Delete a pool as somebody in the portal would, and wait until it is gone.

        Raises:
            SimCloudError: one of its nodes could not be removed.
        """
        pool = self._state.find(name)
        self.delete(name, None)
        await self._chains.finish(name)
        if self.pools.get(name) is pool:
            raise SimCloudError(self.operations[pool.operation].message)

    def _add(self, name: str, properties: Json, size: Size) -> Pool:
        if len(self.pools) >= self._timing.pool_limit:
            text = f"The cluster has {len(self.pools)} agent pools, and no more are allowed."
            raise ArmError(400, "MaxAgentPoolCountReached", text)
        facts = size.gpus, size.vcpus, size.memory_gib
        pool = self.pools[name] = Pool(name, self.home, properties, *facts)
        self._life.stay(name)
        return pool

    def _change(self, pool: Pool, properties: Json) -> None:
        if properties["vmSize"].lower() != pool.vm_size.lower():
            text = f"Changing property 'vmSize' of agent pool {pool.name} is not allowed."
            raise ArmError(400, "PropertyChangeNotAllowed", text)
        self._life.stay(pool.name)  # also where its deletion has failed
        pool.properties = properties
        pool.state = "Creating" if pool.state == "Failed" else "Updating"
        pool.revision += 1
