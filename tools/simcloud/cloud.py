"""SimCloud: the simulated cloud as one object, its server in a thread of its own."""

import asyncio
import re
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterable, Sequence
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from aiohttp import web

from tools.localcluster.certificates import Authority
from tools.simcloud.admission import Timing
from tools.simcloud.behaviours import Behaviour
from tools.simcloud.booter import NodeBooter
from tools.simcloud.errors import SimCloudError
from tools.simcloud.fabric import Fabric
from tools.simcloud.identity import Identity
from tools.simcloud.machines import Machines
from tools.simcloud.pool import Home, Pool
from tools.simcloud.script import Script
from tools.simcloud.server import Request, Server
from tools.simcloud.sizes import offered
from tools.simcloud.store import Store

T = TypeVar("T")

SUBSCRIPTION = "5f1d3a7e-0b2c-4d6e-8f90-a1b2c3d4e5f6"
START_TIMEOUT_S = 30.0


class SimCloud:
    """A cloud with one AKS cluster, spoken to over TLS. A context manager.

    Its methods may be called from any thread. Leaving the context stops the server; pools and nodes stay,
    their state in the folder, until ``down`` or until a SimCloud of the same folder goes on with them.

    Attributes:
        ca_file: PEM of the CA that signed the server's certificate.

    Args:
        folder: for its files; created at need.
        nodes: turns VMs into nodes; None for pools without nodes.
        addresses: IPv4 addresses or names to listen on, all of them in the certificate; the first is in
            ``endpoint``.
        port: 0 takes a free one.
        subscription: a GUID.
        resource_group: of the cluster.
        cluster: its name.
        location: the region.
        create_s: seconds until the VMs of a new pool boot.
        delete_s: seconds until those of a deleted one go.
        serialised: a PUT or DELETE gets 409 while any other operation runs, as on the real service.
        offers: VM sizes that are offered beside the table's, or although they are retired.
        pool_limit: pools that the cluster may have.
        page_size: pools in one answer of a list.
        retry_after_s: told to those who poll a running operation; 0 leaves it to them.
        restores: boot the nodes of pools found in the folder; False where they are only to be removed.
    """

    def __init__(  # noqa: PLR0913 - each is a fact of the cloud that a test may want otherwise
        self,
        folder: Path,
        nodes: NodeBooter | None = None,
        *,
        addresses: Sequence[str] = ("127.0.0.1",),
        port: int = 0,
        subscription: str = SUBSCRIPTION,
        resource_group: str = "sim",
        cluster: str = "sim",
        location: str = "eastus",
        create_s: float = 0.5,
        delete_s: float = 0.3,
        serialised: bool = False,
        offers: Iterable[str] = (),
        pool_limit: int = 100,
        page_size: int = 20,
        retry_after_s: int = 1,
        restores: bool = True,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._addresses, self._port = tuple(addresses), port
        self._authority = Authority(folder / "certificates")
        self._authority.ensure_ca()
        self.ca_file = self._authority.ca
        self._home = Home(subscription, resource_group, cluster, location)
        self._identity = Identity(folder)
        self._restores = restores
        self._script = Script()
        self._machines = Machines(nodes)
        timing = Timing(create_s, delete_s, serialised, pool_limit)
        self._fabric = Fabric(self._home, offered(offers), Store(folder, self._home), self._machines, timing)
        self._server = Server(
            self._fabric, self._identity, self._script, page_size=page_size, retry_after_s=retry_after_s
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._runner: web.AppRunner | None = None

    @property
    def endpoint(self) -> str:
        """URL of the service and of its login; without a slash at the end."""
        return f"https://{self._addresses[0]}:{self._port}"

    @property
    def environment(self) -> dict[str, str]:
        """The environment with which the gpu-provisioner finds this cloud and logs in."""
        return {
            "ARM_ENDPOINT": self.endpoint,
            "ARM_CA_BUNDLE": str(self.ca_file),
            "AZURE_AUTHORITY_HOST": self.endpoint,
            "AZURE_TENANT_ID": self._identity.tenant,
            "AZURE_CLIENT_ID": self._identity.client,
            "AZURE_FEDERATED_TOKEN_FILE": str(self._identity.token_file),
            "ARM_SUBSCRIPTION_ID": self._home.subscription,
            "ARM_RESOURCE_GROUP": self._home.resource_group,
            "AZURE_CLUSTER_NAME": self._home.cluster,
            "LOCATION": self._home.location,
        }

    @property
    def requests(self) -> list[Request]:
        """Every call but logins, in the order of arrival."""
        return self._server.requests

    @property
    def logins(self) -> list[int]:
        """Status of every login, in the order of arrival."""
        return self._server.logins

    def __enter__(self) -> Self:
        loop = self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=loop.run_forever, name="simcloud", daemon=True)
        self._thread.start()
        try:
            self._run(self._start())
        except BaseException:
            self._run(self._give_up())
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._run(self._stop())
        finally:
            self._end()

    def script(self, match: str, *behaviours: Behaviour) -> None:
        """Tell the cloud what to do with coming requests.

        Args:
            match: a pool's name, a VM size, or ``*`` for every request.
            behaviours: used in this order, each by the next request it is meant for.
        """
        self._run(_called(lambda: self._script.add(match, behaviours)))

    def quota(self, name: str, vcpus: int) -> None:
        """Limit a quota.

        Args:
            name: of a VM size (its family is limited), of a family, ``cores`` or ``lowPriorityCores``.
            vcpus: the limit.
        """
        size = self._fabric.sizes.get(name.lower())
        key = (size.family if size else name).lower()
        self._run(_called(lambda: self._fabric.quotas.update({key: vcpus})))

    def pools(self) -> dict[str, Pool]:
        """Copy the pools that exist now, by name."""
        return self._run(
            _called(lambda: {name: pool.snapshot() for name, pool in self._fabric.pools.items()})
        )

    def evict(self, pool: str) -> None:
        """Take the VMs of a pool back, as with spot VMs; the pool itself stays. Returns when it is done."""
        self._run(self._fabric.evict(pool))

    def upgrade(self, pool: str, overlap_s: float | None = None) -> None:
        """Upgrade the node image: a second node joins, then the first is removed. Returns when it is done.

        Args:
            pool: its name.
            overlap_s: seconds in which both nodes are there; as long as a creation if not given.
        """
        self._run(self._fabric.upgrade(pool, overlap_s))

    def kill_node(self, pool: str) -> None:
        """Let the nodes of a pool die; the pool does not notice. Returns when it is done."""
        self._run(self._fabric.kill(pool))

    def remove_pool(self, pool: str) -> None:
        """Delete a pool behind its owner's back. Returns when it is gone."""
        self._run(self._fabric.remove(pool))

    def revoke_tokens(self) -> None:
        """Make every access token invalid; who logs in anew gets a valid one."""
        self._run(_called(self._identity.revoke))

    def down(self) -> None:
        """Delete every pool with its nodes. Returns when they are gone."""

        async def remove_all() -> None:
            await asyncio.gather(*(self._fabric.remove(name) for name in list(self._fabric.pools)))

        self._run(remove_all())

    async def _start(self) -> None:
        self._fabric.load()
        self._runner = web.AppRunner(self._server.application(), shutdown_timeout=0.5, access_log=None)
        await self._runner.setup()
        for address in self._addresses:
            await web.TCPSite(self._runner, address, self._port, ssl_context=self._tls()).start()
            self._port = self._port or int(self._runner.addresses[0][1])
        self._fabric.resume(restores=self._restores)

    async def _give_up(self) -> None:
        """Undo a start that failed, and leave the state file as it is."""
        if self._runner:
            await _close(self._runner)
        await asyncio.to_thread(self._machines.close)

    def _tls(self) -> ssl.SSLContext:
        # One certificate for each set of addresses: a pair that exists is never signed anew.
        name = re.sub(r"[^\w.-]", "_", "-".join(("server", *self._addresses)))
        addresses = [_address(address) for address in self._addresses]
        pair = self._authority.ensure_pair(name, "simulated cloud", addresses=addresses)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(pair.certificate, pair.key)
        return context

    async def _stop(self) -> None:
        if self._runner:
            await _close(self._runner)
        await self._fabric.stop()

    def _end(self) -> None:
        loop, thread, self._loop = self._loop, self._thread, None
        if loop and thread:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(START_TIMEOUT_S)
            loop.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        if self._loop is None:
            work.close()
            raise SimCloudError("The simulated cloud does not run: use it inside its `with` block.")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


async def _close(runner: web.AppRunner) -> None:
    """End the server and its connections at once, also those whose clients do not answer any more."""
    handlers = runner.server.connections if runner.server else []
    transports = [handler.transport for handler in handlers if handler.transport]
    await runner.cleanup()
    for transport in transports:
        transport.abort()  # else TLS waits for the client's goodbye
    await asyncio.sleep(0.01)  # lets the loop end them


async def _called(do: Callable[[], T]) -> T:
    return do()


def _address(text: str) -> str | IPv4Address:
    try:
        return IPv4Address(text)
    except AddressValueError:
        return text
