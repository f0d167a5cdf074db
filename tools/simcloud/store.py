"""The state that survives the process: pools and operations, in one JSON file of the cloud's folder."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

from tools.localcluster.paths import write_private
from tools.simcloud.errors import SimCloudError
from tools.simcloud.operations import Operation
from tools.simcloud.pool import Home, Pool

KEPT_OPERATIONS = 1000
"""Older ones are forgotten; nobody polls them any more."""


class Store:
    """Reads and writes state.json.

    Args:
        folder: the cloud's.
        home: the cluster; a file of another one is refused.
    """

    def __init__(self, folder: Path, home: Home) -> None:
        self._file = folder / "state.json"
        self._home = home

    def load(self) -> tuple[dict[str, Pool], dict[str, Operation]]:
        """Read pools by name and operations by id; none where there is no file.

        Raises:
            SimCloudError: the file is of another cluster.
        """
        if not self._file.exists():
            return {}, {}
        content = json.loads(self._file.read_text())
        pools = {item["name"]: Pool.from_dict(item) for item in content["pools"]}
        if any(pool.home != self._home for pool in pools.values()):
            raise SimCloudError(
                f"{self._file} holds agent pools of another cluster: take another folder, or remove them "
                "with python -m tools.simcloud down."
            )
        return pools, {item["id"]: Operation(**item) for item in content["operations"]}

    def save(self, pools: Mapping[str, Pool], operations: Iterable[Operation]) -> None:
        """Replace the file."""
        kept = list(operations)[-KEPT_OPERATIONS:]
        content = {
            "pools": [pool.to_dict() for pool in pools.values()],
            "operations": [asdict(operation) for operation in kept],
        }
        fresh = self._file.with_suffix(".new")
        write_private(fresh, json.dumps(content))
        fresh.replace(self._file)
