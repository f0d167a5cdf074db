"""The real Azure SDK, pointed at a simulated cloud as its environment says."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from azure.core.exceptions import HttpResponseError
from azure.identity.aio import WorkloadIdentityCredential
from azure.mgmt.compute.aio import ComputeManagementClient
from azure.mgmt.containerservice.aio import ContainerServiceClient

from tools.simcloud import SimCloud

TYPE = "Standard_NC24ads_A100_v4"
SCOPES = ["https://management.azure.com/.default"]
Json = dict[str, Any]


def body(**properties: Any) -> Json:
    """A pool of one GPU node."""
    return {"properties": {"count": 1, "vmSize": TYPE, "type": "VirtualMachineScaleSets", **properties}}


class Azure:
    """The calls of the tests, for the cluster of the environment."""

    def __init__(self, client: ContainerServiceClient, environment: dict[str, str]) -> None:
        self.client = client
        self.place = (environment["ARM_RESOURCE_GROUP"], environment["AZURE_CLUSTER_NAME"])

    async def start(self, name: str, pool: Json | None = None, **options: Any) -> Any:
        """PUT, and return the first answer."""
        return await self.create(name, pool, polling=False, **options)

    async def create(self, name: str, pool: Json | None = None, **options: Any) -> Any:
        """PUT, and wait for the end of the operation."""
        begin: Any = self.client.agent_pools.begin_create_or_update  # its overloads know no plain mapping
        poller = await begin(*self.place, name, pool or body(), **options)
        return await poller.result()

    async def get(self, name: str) -> Any:
        """GET."""
        return await self.client.agent_pools.get(*self.place, name)

    async def names(self) -> list[str]:
        """LIST."""
        return [str(pool.name) async for pool in self.client.agent_pools.list(*self.place)]

    async def delete(self, name: str) -> None:
        """DELETE, and wait for the end of the operation."""
        poller: Any = await self.client.agent_pools.begin_delete(*self.place, name)
        await poller.result()


@asynccontextmanager
async def credential(cloud: SimCloud) -> AsyncIterator[Any]:
    """The pod's identity."""
    env = cloud.environment
    async with WorkloadIdentityCredential(
        tenant_id=env["AZURE_TENANT_ID"],
        client_id=env["AZURE_CLIENT_ID"],
        token_file_path=env["AZURE_FEDERATED_TOKEN_FILE"],
        authority=env["AZURE_AUTHORITY_HOST"],
        connection_verify=env["ARM_CA_BUNDLE"],
        disable_instance_discovery=True,
        retry_total=0,
    ) as found:
        yield found


@asynccontextmanager
async def azure(cloud: SimCloud, **options: Any) -> AsyncIterator[Azure]:
    """A client without retries, unless the options say otherwise."""
    env = cloud.environment
    settings = {
        "retry_total": 0,
        "polling_interval": 0.02,
        "connection_verify": env["ARM_CA_BUNDLE"],
        **options,
    }
    async with (
        credential(cloud) as identity,
        ContainerServiceClient(
            identity,
            env["ARM_SUBSCRIPTION_ID"],
            base_url=env["ARM_ENDPOINT"],
            credential_scopes=SCOPES,
            **settings,
        ) as client,
    ):
        yield Azure(client, env)


@asynccontextmanager
async def compute(cloud: SimCloud) -> AsyncIterator[ComputeManagementClient]:
    """The client of SKUs and usages."""
    env = cloud.environment
    async with (
        credential(cloud) as identity,
        ComputeManagementClient(
            identity,
            env["ARM_SUBSCRIPTION_ID"],
            base_url=env["ARM_ENDPOINT"],
            credential_scopes=SCOPES,
            connection_verify=env["ARM_CA_BUNDLE"],
            retry_total=0,
        ) as client,
    ):
        yield client


def code(error: HttpResponseError) -> str | None:
    """The word that programs branch on."""
    return error.error.code if error.error else None


async def until(holds: Callable[[], bool], limit_s: float = 30) -> None:
    """Look until something holds, or fail."""
    deadline = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < deadline, "it never held"
        await asyncio.sleep(0.01)
