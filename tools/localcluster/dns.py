"""Cluster DNS: CoreDNS as a process of the machine, behind the Service kube-dns."""

from pathlib import Path

from tools.localcluster.api import Api, Json
from tools.localcluster.controlplane import ControlPlane
from tools.localcluster.paths import Paths, write_private
from tools.localcluster.probes import connects
from tools.localcluster.processes import Daemon
from tools.localcluster.settings import CONTROL_PLANE, DNS_DOMAIN, DNS_PORT, DNS_SERVICE

USER = "system:kaito-local-dns"
NAMESPACE = "/api/v1/namespaces/kube-system"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
READABLE = [
    {"apiGroups": [""], "resources": ["services", "namespaces", "pods"], "verbs": ["list", "watch"]},
    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
]


def corefile(kubeconfig: Path) -> str:
    """Render CoreDNS' configuration.

    Names outside the cluster are answered with NXDOMAIN at once: pods need none of them, and a query
    that nobody answers would hold a client for seconds.
    """
    return f"""\
.:{DNS_PORT} {{
    bind {CONTROL_PLANE}
    errors
    kubernetes {DNS_DOMAIN} in-addr.arpa {{
        kubeconfig {kubeconfig}
        ttl 1
    }}
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"""


def daemon(paths: Paths, program: Path, control: ControlPlane) -> Daemon:
    """The server, which reads Services and their endpoints from the API server."""
    path = paths.config / "Corefile"
    write_private(path, corefile(control.client("dns", USER)))
    return Daemon("dns", [str(program), "-conf", str(path)], lambda: connects(str(CONTROL_PLANE), DNS_PORT))


def publish(api: Api) -> None:
    """Create what lets the server read, and the Service through which pods reach it."""
    for path, manifest in manifests().items():
        api.apply(path, manifest)


def manifests() -> dict[str, Json]:
    """Give the objects of cluster DNS by their paths."""
    metadata = {"name": "kube-dns", "namespace": "kube-system"}
    ports = [
        {"name": "dns", "port": DNS_PORT, "protocol": "UDP"},
        {"name": "dns-tcp", "port": DNS_PORT, "protocol": "TCP"},
    ]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": USER}
    user = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": USER}
    rbac: Json = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": USER}}
    labels = {
        "kubernetes.io/service-name": "kube-dns",
        "endpointslice.kubernetes.io/managed-by": "kaito-localcluster",
    }
    return {
        f"{RBAC}/clusterroles/{USER}": {**rbac, "kind": "ClusterRole", "rules": READABLE},
        f"{RBAC}/clusterrolebindings/{USER}": {
            **rbac,
            "kind": "ClusterRoleBinding",
            "roleRef": role,
            "subjects": [user],
        },
        f"{NAMESPACE}/services/kube-dns": {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"clusterIP": str(DNS_SERVICE), "ports": ports},
        },
        # Without a selector no controller makes endpoints: the server is no pod.
        "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices/kube-dns": {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**metadata, "labels": labels},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [str(CONTROL_PLANE)], "conditions": {"ready": True}}],
            "ports": ports,
        },
    }
