"""The fixed facts of the local cluster: names, versions, addresses, ports."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from tools.localcluster.errors import ClusterError

NAME = "kaito-local"  # kubeconfig context, cgroup, prefix of what lies in shared places
FIRST_NODE = "kaito-0"
DEFAULT_KUBERNETES = "1.36"

CONTAINERD_VERSION = "2.2.9"  # a kubelet of 1.36 needs containerd 2; Debian 12 has 1.6
CLUSTERDNS_VERSION = "1.14.7"  # CoreDNS
PAUSE_VERSION = "1"
PAUSE_IMAGE = f"localhost/kaito-pause:{PAUSE_VERSION}"

SERVICES = IPv4Network("10.96.0.0/16")
PODS = IPv4Network("10.244.0.0/16")
API_SERVICE = IPv4Address("10.96.0.1")
DNS_SERVICE = IPv4Address("10.96.0.10")
DNS_DOMAIN = "cluster.local"

ETCD_PORT, ETCD_PEER_PORT = 2379, 2380
API_PORT = 6443
CONTROLLER_MANAGER_PORT = 10257
SCHEDULER_PORT = 10259
KUBELET_PORT = 10250
PROXY_HEALTH_PORT, PROXY_METRICS_PORT = 10256, 10249
DNS_PORT = 53
OPEN_REGISTRY_PORT, PRIVATE_REGISTRY_PORT = 5000, 5001

BRIDGE_PREFIX = "kaito-br"
SINK = "kaito-sink"
MAX_NODES = 250  # one /24 each of the pod network


@dataclass(frozen=True)
class Release:
    """A Kubernetes version this package can build.

    Attributes:
        version: the exact version, such as ``1.36.3``.
        modfile: the Go module file in ``localkube/`` that pins it.
    """

    version: str
    modfile: str

    @property
    def minor(self) -> str:
        """``1.36`` of ``1.36.3``."""
        return self.version.rpartition(".")[0]


RELEASES = {
    "1.36": Release("1.36.3", "go.mod"),
    "1.34": Release("1.34.4", "v1.34.mod"),
}


def release(name: str) -> Release:
    """Find the release for ``1.36`` or ``1.36.3``; ClusterError names the ones there are."""
    for minor, found in RELEASES.items():
        if name in (minor, found.version):
            return found
    raise ClusterError(
        f"Kubernetes {name} is not one of {', '.join(RELEASES)}: choose one with --kubernetes."
    )


def pod_network(index: int) -> IPv4Network:
    """Give the /24 of the node with this index: node 3 has 10.244.3.0/24."""
    if not 0 <= index < MAX_NODES:
        raise ClusterError(f"The local cluster holds at most {MAX_NODES} nodes: remove one with remove-node.")
    return IPv4Network((int(PODS.network_address) + (index << 8), 24))


def node_address(index: int) -> IPv4Address:
    """Give the node's own address, which its bridge carries: node 3 has 10.244.3.1."""
    return pod_network(index)[1]


def bridge(index: int) -> str:
    """Name the bridge of the node with this index."""
    return f"{BRIDGE_PREFIX}{index}"


# Every control-plane server binds to the first node's bridge. That address exists on this machine
# only, so nothing listens on the machine's own network, and pods reach it all the same.
CONTROL_PLANE = node_address(0)
API_URL = f"https://{CONTROL_PLANE}:{API_PORT}"
LOOPBACK = IPv4Address("127.0.0.1")
# One name for pods and kubelets: in a pod, localhost is the pod.
OPEN_REGISTRY_FOR_PODS = f"{CONTROL_PLANE}:{OPEN_REGISTRY_PORT}"
PRIVATE_REGISTRY_FOR_PODS = f"{CONTROL_PLANE}:{PRIVATE_REGISTRY_PORT}"
