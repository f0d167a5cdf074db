"""What a node booter is handed."""

from tools.simcloud.machines import Machines
from tools.simcloud.pool import Home, Pool

HOME = Home("5f1d3a7e-0b2c-4d6e-8f90-a1b2c3d4e5f6", "rg", "c", "eastus")
IMAGE = "kubernetes.azure.com/node-image-version"


class Noted:
    def __init__(self) -> None:
        self.pools: list[Pool] = []

    def boot(self, pool: Pool, node_name: str, provider_id: str) -> None:
        self.pools.append(pool)

    def remove(self, node_name: str) -> None:
        pass


async def test_a_node_that_boots_again_has_the_image_of_its_first_boot_whatever_its_pool_has_by_now() -> None:
    noted, pool = Noted(), Pool("ws1", HOME, {"vmSize": "Standard_X"})
    machines, node = Machines(noted), pool.new_node()
    await machines.boot(pool, node)
    pool.image += 1
    await machines.boot(pool, node)
    await machines.boot(pool, pool.new_node())
    machines.close()
    first, again, newer = (pool.labels()[IMAGE] for pool in noted.pools)
    assert first == again != newer


async def test_a_booter_is_handed_a_copy() -> None:
    noted, pool = Noted(), Pool("ws1", HOME, {"vmSize": "Standard_X", "nodeLabels": {}})
    machines = Machines(noted)
    await machines.boot(pool, pool.new_node())
    machines.close()
    noted.pools[0].properties["nodeLabels"]["a"] = "b"
    assert pool.properties["nodeLabels"] == {}
