"""The state of the simulated cloud: its pools and operations, kept in memory and in the state file."""

from tools.simcloud.errors import SimCloudError
from tools.simcloud.operations import Kind, Operation
from tools.simcloud.pool import Pool
from tools.simcloud.store import Store


class State:
    """Pools and operations; every change of them is saved at once.

    Attributes:
        pools: by name.
        operations: by id, oldest first.

    Args:
        store: where they are kept.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.pools: dict[str, Pool] = {}
        self.operations: dict[str, Operation] = {}

    def load(self) -> None:
        """Read what the last process left.

        Raises:
            SimCloudError: it is of another cluster.
        """
        self.pools, self.operations = self._store.load()

    def find(self, name: str) -> Pool:
        """Give a pool; SimCloudError where there is none."""
        pool = self.pools.get(name)
        if pool is None:
            there = ", ".join(sorted(self.pools)) or "none"
            raise SimCloudError(f"There is no agent pool {name}: there are {there}.")
        return pool

    def running(self) -> list[Operation]:
        """List operations that have not ended."""
        return [operation for operation in self.operations.values() if operation.running]

    def save(self) -> None:
        """Write the state file."""
        self._store.save(self.pools, self.operations.values())

    def begin(self, pool: Pool, kind: Kind) -> None:
        """Start an operation on a pool, which becomes its last one."""
        operation = Operation.start(kind, pool.name)
        self.operations[operation.id] = operation
        pool.operation = operation.id
        self.save()

    def busy(self, pool: Pool) -> bool:
        """Say whether the pool's last operation has not ended."""
        operation = self.operations.get(pool.operation)
        return operation is not None and operation.running

    def end(self, pool: Pool, state: str, code: str = "", message: str = "") -> None:
        """Note how the work on a pool ended; one that is being deleted by now goes on being deleted.

        Args:
            pool: the pool.
            state: its provisioningState from now on.
            code: of the error; empty for success.
            message: of the error.
        """
        if pool.state != "Deleting":
            self._finish(pool, state, code, message)

    def gone(self, pool: Pool) -> None:
        """Note that the deletion of a pool ended well."""
        del self.pools[pool.name]
        self._finish(pool, "Deleting")

    def stuck(self, pool: Pool, code: str, message: str) -> None:
        """Note that the deletion of a pool failed, and with which error."""
        self._finish(pool, "Failed", code, message)

    def _finish(self, pool: Pool, state: str, code: str = "", message: str = "") -> None:
        pool.state = state
        pool.revision += 1
        if self.busy(pool):
            self.operations[pool.operation].end("Failed" if code else "Succeeded", code, message)
        self.save()
