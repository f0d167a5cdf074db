"""What becomes of a pool after it was accepted: its VMs boot, fail, die, are upgraded, and go."""

import asyncio
from contextlib import suppress
from functools import partial

from tools.simcloud.admission import Timing
from tools.simcloud.behaviours import Launch, worded
from tools.simcloud.chains import Chains, Work
from tools.simcloud.machines import MachineError, Machines
from tools.simcloud.pool import Pool
from tools.simcloud.state import State

USUAL = Launch()
BOOT_FAILED = "VMExtensionProvisioningError"
"""Code of a pool whose VM does not become a node, or whose upgrade does not end, for a reason of its own."""
REMOVE_FAILED = "VMDeletionFailed"
"""Code of a pool whose VM does not go; another DELETE tries it again."""


class Lifecycle:
    """The slow work on pools. All of it runs in one event loop.

    Args:
        state: pools and operations.
        chains: keeps the work on one pool in order.
        machines: boots nodes.
        timing: how long things take.
    """

    def __init__(self, state: State, chains: Chains, machines: Machines, timing: Timing) -> None:
        self._state, self._chains, self._machines, self._timing = state, chains, machines, timing
        self._leaving: dict[str, asyncio.Event] = {}

    def stay(self, name: str) -> None:
        """Note that a pool is there for good, for now."""
        self._leaving[name] = asyncio.Event()

    def leave(self, name: str) -> None:
        """Note that a pool is being deleted: waits for its creation end at once."""
        self._leaving[name].set()

    async def launch(self, pool: Pool, launch: Launch) -> None:
        """Make the VMs of a pool that was accepted, or fail as scripted."""
        seconds = self._timing.create_s if launch.seconds is None else launch.seconds
        if await self._left(pool, seconds):
            return
        if launch.code:
            text = worded(launch.message, pool.name, pool.vm_size, pool.home.location)
            self._state.end(pool, "Failed", launch.code, text)
            return
        try:
            await self._fill(pool, joins=launch.joins)
        except MachineError as error:
            self._state.end(pool, "Failed", BOOT_FAILED, str(error))
            return
        self._state.end(pool, "Succeeded")
        if launch.after:
            self._chains.start(partial(self._later, pool, launch))

    async def _fill(self, pool: Pool, *, joins: bool = True) -> None:
        """Boot the VMs that the pool lacks."""
        while len(pool.nodes) < pool.count and pool.state != "Deleting":
            node = pool.new_node()
            self._state.save()
            if joins:
                await self._machines.boot(pool, node)

    async def restore(self, pool: Pool) -> None:
        """Make the nodes of a pool real again after a restart, and end what was under way."""
        if pool.state == "Deleting":
            await self.delete(pool, self._timing.delete_s)
            return
        for node in [node for node in pool.nodes if node.joined and node.alive]:
            with suppress(MachineError):  # logged; the pool itself is as it was
                await self._machines.boot(pool, node)
        if pool.state.startswith("Upgrading"):
            with suppress(MachineError):
                await self._drop(pool, len(pool.nodes) - pool.count)
            self._state.end(pool, "Succeeded")
        elif self._state.busy(pool):
            await self.launch(pool, USUAL)

    async def _later(self, pool: Pool, launch: Launch) -> None:
        if await self._left(pool, launch.after_s):
            return
        what: dict[str, Work] = {
            "dies": partial(self.kill, pool),
            "is evicted": partial(self.evict, pool),
            "is upgraded": partial(self.upgrade, pool, self._timing.create_s),
        }
        if launch.after:
            await self._chains.append(pool.name, what[launch.after])

    async def evict(self, pool: Pool) -> None:
        """Take all VMs of a pool back; the pool stays and still says Succeeded, as a spot pool does."""
        await self._drop(pool, len(pool.nodes))

    async def kill(self, pool: Pool) -> None:
        """Let all nodes of a pool die; the pool does not notice."""
        for node in pool.nodes:
            await self._machines.kill(node)
        self._state.save()

    async def upgrade(self, pool: Pool, overlap_s: float) -> None:
        """Bring nodes with a newer image, then, after an overlap in seconds, remove the older ones."""
        if pool.state == "Deleting":
            return
        pool.state, pool.image = "UpgradingNodeImageVersion", pool.image + 1
        self._state.begin(pool, "upgrade")
        olds = len(pool.nodes)
        try:
            for _ in range(olds):
                node = pool.new_node()
                self._state.save()
                await self._machines.boot(pool, node)
            if await self._left(pool, overlap_s):
                return
            await self._drop(pool, olds)
        except MachineError as error:
            self._state.end(pool, "Failed", BOOT_FAILED, str(error))
            return
        self._state.end(pool, "Succeeded")

    async def _drop(self, pool: Pool, count: int) -> None:
        """Remove the oldest VMs of a pool."""
        for node in pool.nodes[: max(count, 0)]:
            await self._machines.remove(node)
            pool.nodes.remove(node)
            self._state.save()

    async def delete(self, pool: Pool, seconds: float) -> None:
        """Remove a pool and its VMs after this many seconds."""
        await asyncio.sleep(seconds)
        try:
            await self._drop(pool, len(pool.nodes))
        except MachineError as error:
            self._state.stuck(pool, REMOVE_FAILED, str(error))
            return
        self._state.gone(pool)

    async def _left(self, pool: Pool, seconds: float) -> bool:
        """Wait, and say whether the pool is being deleted by then."""
        try:
            await asyncio.wait_for(self._leaving[pool.name].wait(), seconds)
        except TimeoutError:
            return pool.state == "Deleting"
        return True
