"""The VMs of pools: booted, removed and killed through the node booter, in worker threads."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tools.simcloud.booter import NodeBooter
from tools.simcloud.pool import Pool, SimNode

logger = logging.getLogger(__name__)

WORKERS = 16


class MachineError(Exception):
    """A VM did not become a node, or did not go; the text is the booter's."""


class Machines:
    """Does the slow work; the caller holds the records.

    Args:
        booter: None where VMs never become nodes.
    """

    def __init__(self, booter: NodeBooter | None) -> None:
        self._booter = booter
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="simcloud-node")

    async def boot(self, pool: Pool, node: SimNode) -> None:
        """Make a VM join its cluster.

        Raises:
            MachineError: it did not.
        """
        if self._booter is None:
            return
        booter, copy = self._booter, pool.snapshot()
        copy.image = node.image  # whatever the pool has come to since: the same VM boots the same again
        node.joined = True  # noted before it is true, so that an interrupted boot is cleaned up
        try:
            await self._work(lambda: booter.boot(copy, node.name, node.provider_id))
        except Exception as error:
            logger.exception("node %s did not boot", node.name)
            raise MachineError(f"The VM of node {node.name} did not boot: {error}") from error

    async def remove(self, node: SimNode) -> None:
        """Take a VM and its node away.

        Raises:
            MachineError: it is still there.
        """
        if self._booter is None or not node.joined:
            return
        booter = self._booter
        try:
            await self._work(lambda: booter.remove(node.name))
        except Exception as error:
            logger.exception("node %s could not be removed", node.name)
            raise MachineError(f"The VM of node {node.name} did not go: {error}") from error

    async def kill(self, node: SimNode) -> None:
        """Let a node die."""
        node.alive = False
        kill: Callable[[str], None] | None = getattr(self._booter, "kill", None)
        if kill is None:
            await self.remove(node)
        elif node.joined:
            await self._work(lambda: kill(node.name))

    def close(self) -> None:
        """Wait for what is under way."""
        self._workers.shutdown(wait=True, cancel_futures=True)
        close: Callable[[], None] | None = getattr(self._booter, "close", None)
        if close:
            close()

    async def _work(self, do: Callable[[], None]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._workers, do)
