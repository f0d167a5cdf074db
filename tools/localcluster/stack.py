"""The parts of a cluster that has certificates, wired together."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tools.localcluster import dns, network, registry
from tools.localcluster.api import Api
from tools.localcluster.binaries import Binaries, locate
from tools.localcluster.certificates import Authority
from tools.localcluster.controlplane import ControlPlane
from tools.localcluster.errors import ClusterError
from tools.localcluster.kubeconfig import write as write_kubeconfig
from tools.localcluster.node import Node
from tools.localcluster.nodespec import NodeSpec
from tools.localcluster.paths import Paths
from tools.localcluster.processes import Daemon, Processes
from tools.localcluster.settings import FIRST_NODE, Release
from tools.localcluster.waiting import wait_until

Step = Callable[[str], None]


class Stack:
    """Everything that a running cluster consists of.

    Args:
        paths: the cluster's folders.
        release: of Kubernetes.
        processes: the cluster's daemons.
        authority: with its CA made.
        api: the administrator's client.
    """

    def __init__(
        self, paths: Paths, release: Release, processes: Processes, authority: Authority, api: Api
    ) -> None:
        self.api = api
        self._paths = paths
        self._processes = processes
        self._authority = authority
        self._binaries: Binaries = locate(paths.binaries, release)
        self._control = ControlPlane(paths, self._binaries.localkube, authority, api)

    def node(self, spec: NodeSpec) -> Node:
        """Give the node for a spec."""
        return Node(spec, self._paths, self._binaries, self._processes, self._authority, self.api)

    def nodes(self) -> list[Node]:
        """Give all recorded nodes, the first one first."""
        specs = (NodeSpec.from_json(path.read_text()) for path in self._paths.nodes.glob("*/node.json"))
        return [self.node(spec) for spec in sorted(specs, key=lambda spec: spec.index)]

    def healthy(self) -> bool:
        """Say whether every daemon runs and does its work."""
        if not (self._paths.node(FIRST_NODE).record.exists() and self.api.healthy()):
            return False
        try:
            return self._daemons_healthy() and all(node.healthy() for node in self.nodes())
        except ClusterError:  # the API server went away while we asked
            return False

    def _daemons_healthy(self) -> bool:
        servers = [*registry.daemons(self._paths), self._control.etcd(), self._control.apiserver()]
        daemons = [*servers, *self._clients()]
        return all(self._processes.running(daemon.name) and daemon.ready() for daemon in daemons)

    def start(self, done: Step) -> None:
        """Start whatever does not run, in order.

        Args:
            done: told after each step what is ready now.
        """
        self._start_network()
        done("network")
        nodes = self.nodes() or [self.node(NodeSpec(FIRST_NODE, 0))]
        self._start_servers(nodes)
        done("etcd, registries and containerd")
        self._run(self._control.apiserver())
        self._wait_namespace("kube-system")
        done("API server")
        dns.publish(self.api)
        self._run(*self._clients(), meanwhile=lambda: self._start_kubelets(nodes))
        done("controllers, scheduler, proxy and DNS")
        for node in nodes:
            node.wait_ready()
        self._wait_service_account()
        done(f"{len(nodes)} node{'s' if len(nodes) > 1 else ''} Ready")

    def _clients(self) -> list[Daemon]:
        control, program = self._control, self._binaries.clusterdns
        return [
            control.controller_manager(),
            control.scheduler(),
            control.proxy(),
            dns.daemon(self._paths, program, control),
        ]

    def _start_network(self) -> None:
        network.ensure_bridge(0)
        network.ensure_sink()
        network.apply_kernel_settings(network.NEEDED_SETTINGS)

    def _start_servers(self, nodes: list[Node]) -> None:
        # From here on the kept images are in use: only an orderly end makes them trustworthy again.
        self._paths.images_in_order.unlink(missing_ok=True)

        def runtimes() -> None:
            for node in nodes:
                node.save()
                node.start_runtime()

        self._run(self._control.etcd(), *registry.daemons(self._paths), meanwhile=runtimes)

    @staticmethod
    def _start_kubelets(nodes: list[Node]) -> None:
        for node in nodes:
            node.start_kubelet()

    def _run(self, *daemons: Daemon, meanwhile: Callable[[], None] | None = None) -> None:
        """Start daemons at once and wait for all; other work fits in between."""
        for daemon in daemons:
            self._processes.ensure(daemon)
        if meanwhile:
            meanwhile()
        for daemon in daemons:
            self._processes.wait_ready(daemon)

    def _wait_namespace(self, name: str) -> None:
        path = f"/api/v1/namespaces/{name}"
        wait_until(lambda: self.api.get(path) is not None, 30, f"the namespace {name}")

    def _wait_service_account(self) -> None:
        """Wait for what every pod needs; the controllers make it shortly after their start."""
        path = "/api/v1/namespaces/default/serviceaccounts/default"
        wait_until(lambda: self.api.get(path) is not None, 30, "the service account default")


@contextmanager
def opened(paths: Paths, release: Release, processes: Processes) -> Iterator[Stack]:
    """Give the stack of the cluster in these folders, making its certificates at need."""
    authority = Authority(paths.certificates)
    authority.ensure_ca()
    admin = authority.ensure_pair("admin", "kaito-local-admin", ["system:masters"])
    write_kubeconfig(paths.admin_kubeconfig, authority, admin)
    api = Api(str(authority.ca), admin)
    try:
        yield Stack(paths, release, processes, authority, api)
    finally:
        api.close()
