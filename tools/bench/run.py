"""One run: prepare the ground, create, wait until ready, rest, delete, count."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, pairwise
from time import monotonic
from typing import Any, TypeVar

from tools.bench import ground, rights
from tools.bench.chronicle import Chronicle
from tools.bench.client import METADATA, Client
from tools.bench.counts import most_per_claim, pool_calls, reads, stretch, writes
from tools.bench.kubelets import Kubelets
from tools.bench.options import Options
from tools.bench.paths import DEPLOYMENTS, FOLDER, MACHINES, NAMESPACE, NODES, OURS, SERVICES, WORKSPACES
from tools.bench.program import Program
from tools.bench.result import ProgramFigures, Result
from tools.bench.surroundings import cpu_seconds, daemons, machine, used_between
from tools.kubectl import Kubectl
from tools.localcluster import Cluster, audit
from tools.localcluster.certificates import Authority
from tools.localcluster.settings import API_URL
from tools.simcloud import SimCloud
from tools.simcloud.apinodes import ApiNodes

Say = Callable[[str], None]
Item = TypeVar("Item")
OPERATOR, PROVISIONER = "kaito-operator", "gpu-provisioner"
"""Names of their service accounts."""
AT_ONCE = 16
"""Requests of this client that are under way at the same time."""
LEFT_TIMEOUT_S = 30.0
"""For the cluster's garbage collector and the kubelets, once the Workspaces are gone."""


def run(options: Options, cluster: Cluster, say: Say = print) -> Result:
    """Run on a local cluster that is up. It is left as it was found.

    Raises:
        BenchError: it could not be carried out.
        ClusterError, KubectlError: the cluster does not answer.
    """
    return asyncio.run(Bench(options, cluster, say).run())


@dataclass
class Bench:
    """One run on one cluster."""

    options: Options
    cluster: Cluster
    say: Say
    chronicle: Chronicle = field(default_factory=Chronicle)
    _programs: tuple[Program, ...] = field(default=(), init=False)

    async def run(self) -> Result:
        """See `run` of this module."""
        authority, kubectl = Authority(self.cluster.paths.certificates), Kubectl(self.cluster.kubeconfig)
        pair = authority.ensure_pair("bench-client", "bench-client", ["system:masters"])
        ground.check(kubectl)
        async with Client(API_URL, str(authority.ca), pair) as client:
            self.say("preparing the cluster")
            await ground.clear(client, kubectl, drop_machines=False)
            is_new = ground.prepare(kubectl)
            shutil.rmtree(FOLDER, ignore_errors=True)
            FOLDER.mkdir(parents=True)
            try:
                return await self._with_programs(client, authority)
            finally:
                self.say("cleaning up")
                await ground.clear(client, kubectl, drop_machines=is_new)

    async def _with_programs(self, client: Client, authority: Authority) -> Result:
        accounts = {name: rights.sign_in(authority, FOLDER, name) for name in (OPERATOR, PROVISIONER)}
        options = self.options
        nodes = ApiNodes(self.cluster.kubeconfig)
        cloud = SimCloud(FOLDER / "simcloud", nodes, create_s=options.create_s, delete_s=options.delete_s)
        with cloud:
            shared = {"KAITO_NAMESPACE": NAMESPACE, "KAITO_LOG_LEVEL": "INFO"}
            provisioner = Program(
                "kaito_operator.provisioner",
                FOLDER / "provisioner.log",
                **shared,
                **cloud.environment,
                KUBECONFIG=str(accounts[PROVISIONER]),
                POOL_POLL_SECONDS=f"{options.poll_s:g}",
            )
            operator = Program(
                "kaito_operator",
                FOLDER / "operator.log",
                **shared,
                KUBECONFIG=str(accounts[OPERATOR]),
                KAITO_PROVISIONING="machine",
                KAITO_RUNTIME_IMAGE="localhost:5000/kaito-inference:bench",
                KAITO_PROJECT_REGISTRY="localhost:5000",
            )
            self._programs = (operator, provisioner)
            self.say("starting the operator and the gpu-provisioner")
            try:
                async with provisioner, operator, self._watching(client):
                    return await self._measure(client, cloud, operator, provisioner)
            finally:
                cloud.down()

    @asynccontextmanager
    async def _watching(self, client: Client) -> AsyncIterator[None]:
        """Take down moments, and play the kubelets; a watch that fails ends the block with its error."""
        real = frozenset(node["metadata"]["name"] for node in await client.items(NODES))
        chronicle = self.chronicle

        async def follow(path: str, take: Callable[[Any], None], **query: str) -> None:
            async for event in client.watch(path, **query):
                take(event)

        try:
            async with asyncio.TaskGroup() as tasks:
                started = [
                    tasks.create_task(follow(WORKSPACES, chronicle.workspace)),
                    tasks.create_task(follow(DEPLOYMENTS, chronicle.workload, accept=METADATA)),
                    tasks.create_task(follow(MACHINES, chronicle.claim, accept=METADATA, labelSelector=OURS)),
                    tasks.create_task(Kubelets(client, real).run()),
                ]
                yield
                for task in started:
                    task.cancel()
        except BaseExceptionGroup as group:
            raise _cause(group) from None

    async def _measure(
        self, client: Client, cloud: SimCloud, operator: Program, provisioner: Program
    ) -> Result:
        seen, n = self.chronicle, self.options.count
        pids = {**daemons(self.cluster), OPERATOR: operator.pid, PROVISIONER: provisioner.pid}
        marks, before = [self._mark()], cpu_seconds(pids)
        self.say(f"creating {n} Workspaces")
        began = monotonic()
        await _each(partial(self._create, client), range(n))
        create_s = monotonic() - began
        await self._until(lambda: seen.count("ready") == n)
        cpu_s = used_between(before, cpu_seconds(pids))
        phases = sum(len(moments.phases) for moments in seen.workspaces.values())
        steps = sum(moments.steps for moments in seen.workspaces.values())
        services = len(await client.items(SERVICES))
        await asyncio.sleep(self.options.settle_s)
        marks.append(self._mark())
        self.say(f"all are ready; {self.options.rest_s:g} s of rest")
        await asyncio.sleep(self.options.rest_s)
        marks.append(self._mark())
        gone_s = await self._delete_all(client)
        remaining = await self._left(client, cloud)
        marks.append(self._mark())
        requests = [stretch(self.cluster.audit_log, *ends) for ends in pairwise(marks)]
        user = rights.user_of(PROVISIONER)
        return Result(
            count=n,
            machine=machine(self.cluster),
            to_workload=tuple(seen.since_creation("workload")),
            to_ready=tuple(seen.since_creation("ready")),
            create_s=create_s,
            gone_s=gone_s,
            phases=phases,
            steps=steps,
            services=services,
            claims=len(seen.claims),
            operator=_figures(operator, OPERATOR, requests, cpu_s.pop(OPERATOR)),
            provisioner=_figures(provisioner, PROVISIONER, requests, cpu_s.pop(PROVISIONER)),
            most_writes_per_claim=most_per_claim(writes(chain.from_iterable(requests), user)),
            puts=pool_calls(cloud.requests, "PUT"),
            deletes=pool_calls(cloud.requests, "DELETE"),
            left=tuple(remaining),
            cluster_cpu_s=cpu_s,
        )

    async def _create(self, client: Client, number: int) -> None:
        obj = self.options.workspace(number)
        await client.create(WORKSPACES, obj)
        self.chronicle.stored(obj["metadata"]["name"], monotonic())

    async def _delete_all(self, client: Client) -> float:
        """Returns the seconds until every Workspace and every claim is gone."""
        seen, names = self.chronicle, list(self.chronicle.workspaces)
        self.say(f"deleting {len(names)} Workspaces")
        began = monotonic()
        await _each(client.delete, [f"{WORKSPACES}/{name}" for name in names])
        await self._until(
            lambda: seen.count("gone") == len(names) and seen.claims_gone.keys() == seen.claims.keys()
        )
        return monotonic() - began

    async def _until(self, done: Callable[[], bool]) -> None:
        def done_and_alive() -> bool:
            return all(program.pid for program in self._programs) and done()  # pid raises for one that ended

        await self.chronicle.until(done_and_alive, timeout_s=self.options.timeout_s, say=self.say)

    async def _left(self, client: Client, cloud: SimCloud) -> list[str]:
        deadline = monotonic() + LEFT_TIMEOUT_S
        while True:
            pools = await asyncio.to_thread(cloud.pools)
            found = [*(f"pool {name}" for name in pools), *await ground.left(client)]
            if not found or monotonic() > deadline:
                return found
            await asyncio.sleep(0.2)

    def _mark(self) -> int:
        return audit.end_of(self.cluster.audit_log)


def _figures(
    program: Program, account: str, requests: list[list[audit.Request]], cpu_s: float
) -> ProgramFigures:
    user = rights.user_of(account)
    to_ready, at_rest, to_gone = (writes(found, user) for found in requests)
    asked = reads(chain.from_iterable(requests), user)
    return ProgramFigures(to_ready, at_rest, to_gone, asked, cpu_s, program.usage(), program.tracebacks())


async def _each(do: Callable[[Item], Coroutine[Any, Any, object]], items: Iterable[Item]) -> None:
    """Do it with all of them, a few at once."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(item: Item) -> None:
        async with places:
            await do(item)

    async with asyncio.TaskGroup() as tasks:
        for item in items:
            tasks.create_task(one(item))


def _cause(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error of a group, out of all groups around it."""
    first = group.exceptions[0]
    return _cause(first) if isinstance(first, BaseExceptionGroup) else first
