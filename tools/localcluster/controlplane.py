"""The control plane's daemons and their flags: etcd, API server, controllers, scheduler, proxy."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from tools.localcluster import audit, kubeconfig
from tools.localcluster.api import Api
from tools.localcluster.certificates import Authority, Pair
from tools.localcluster.paths import Paths, private_folder, write_private
from tools.localcluster.probes import answers
from tools.localcluster.processes import Daemon
from tools.localcluster.settings import (
    API_PORT,
    API_SERVICE,
    CONTROL_PLANE,
    CONTROLLER_MANAGER_PORT,
    DNS_DOMAIN,
    ETCD_PEER_PORT,
    ETCD_PORT,
    FIRST_NODE,
    PODS,
    PROXY_HEALTH_PORT,
    PROXY_METRICS_PORT,
    SCHEDULER_PORT,
    SERVICES,
)

ETCD_URL = f"https://{CONTROL_PLANE}:{ETCD_PORT}"
ETCD_PEER_URL = f"https://{CONTROL_PLANE}:{ETCD_PEER_PORT}"
ISSUER = f"https://kubernetes.default.svc.{DNS_DOMAIN}"
# The default of 20 requests a second is slower than an operator under test; its queue would hide it.
# Half as much of a small machine goes into the API server's garbage collection, for some more memory.
GARBAGE_COLLECTION = {"GOGC": "400"}
CONTROLLER_REQUESTS = {"kube-api-qps": "300", "kube-api-burst": "600"}


def flags(values: Mapping[str, object]) -> list[str]:
    """Write ``--name=value`` arguments."""
    return [f"--{name}={value}" for name, value in values.items()]


@dataclass(frozen=True)
class ControlPlane:
    """Everything that runs once per cluster.

    Args:
        paths: the cluster's folders.
        program: the localkube binary.
        authority: signs what the daemons need.
        api: the administrator's client, for health endpoints.
    """

    paths: Paths
    program: Path
    authority: Authority
    api: Api

    @property
    def server(self) -> Pair:
        """The certificate of every control-plane server; etcd also takes it as a client's."""
        names = [
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            f"kubernetes.default.svc.{DNS_DOMAIN}",
        ]
        return self.authority.ensure_pair(
            "server", "kaito-local-server", (), [*names, CONTROL_PLANE, API_SERVICE]
        )

    def client(self, name: str, user: str, groups: Sequence[str] = ()) -> Path:
        """Write the kubeconfig of a component, which signs in as this user of these groups."""
        pair = self.authority.ensure_pair(name, user, groups)
        return kubeconfig.write(self.paths.config / f"{name}.kubeconfig", self.authority, pair)

    def etcd(self) -> Daemon:
        """The database, without fsync: a machine that loses power loses the test cluster."""
        data = private_folder(self.paths.etcd)
        server = self.server
        options = {
            "name": "local",
            "data-dir": data,
            "listen-client-urls": ETCD_URL,
            "advertise-client-urls": ETCD_URL,
            "listen-peer-urls": ETCD_PEER_URL,
            "initial-advertise-peer-urls": ETCD_PEER_URL,
            "initial-cluster": f"local={ETCD_PEER_URL}",
            "cert-file": server.certificate,
            "key-file": server.key,
            "trusted-ca-file": self.authority.ca,
            "client-cert-auth": "true",
            "peer-cert-file": server.certificate,
            "peer-key-file": server.key,
            "peer-trusted-ca-file": self.authority.ca,
            "peer-client-cert-auth": "true",
            "unsafe-no-fsync": "true",
            "log-level": "warn",
        }
        return self._daemon("etcd", options, lambda: self.api.healthy(f"{ETCD_URL}/readyz"))

    def apiserver(self) -> Daemon:
        """The API server, with the audit log always on."""
        write_private(self.paths.config / "audit-policy.yaml", audit.POLICY)
        server, signer = self.server, self.authority.pair("service-accounts")
        options = {
            "etcd-servers": ETCD_URL,
            "etcd-cafile": self.authority.ca,
            "etcd-certfile": server.certificate,
            "etcd-keyfile": server.key,
            "bind-address": CONTROL_PLANE,
            "advertise-address": CONTROL_PLANE,
            "secure-port": API_PORT,
            "tls-cert-file": server.certificate,
            "tls-private-key-file": server.key,
            "client-ca-file": self.authority.ca,
            "kubelet-certificate-authority": self.authority.ca,
            "kubelet-client-certificate": self.authority.pair("admin").certificate,
            "kubelet-client-key": self.authority.pair("admin").key,
            # Node names resolve nowhere: logs, exec and port-forward must use the node's address.
            "kubelet-preferred-address-types": "InternalIP",
            "service-cluster-ip-range": SERVICES,
            "service-account-issuer": ISSUER,
            "service-account-key-file": signer.certificate,
            "service-account-signing-key-file": signer.key,
            "authorization-mode": "Node,RBAC",
            "enable-admission-plugins": "NodeRestriction",
            "allow-privileged": "true",
            "audit-policy-file": self.paths.config / "audit-policy.yaml",
            "audit-log-path": self.paths.audit_log,
            "audit-log-maxsize": 1000,  # MB; a test that counts must not lose its lines to rotation
            "audit-log-maxbackup": 1,
        }
        return self._daemon("apiserver", options, self.api.healthy)

    def controller_manager(self) -> Daemon:
        """All of Kubernetes' own controllers."""
        ca, server = self.authority.pair("ca"), self.server
        config = self.client("controller-manager", "system:kube-controller-manager")
        options = {
            "kubeconfig": config,
            "bind-address": CONTROL_PLANE,
            "secure-port": CONTROLLER_MANAGER_PORT,
            "tls-cert-file": server.certificate,
            "tls-private-key-file": server.key,
            "leader-elect": "false",
            "use-service-account-credentials": "true",
            "service-account-private-key-file": self.authority.pair("service-accounts").key,
            "root-ca-file": ca.certificate,
            "cluster-signing-cert-file": ca.certificate,
            "cluster-signing-key-file": ca.key,
            "service-cluster-ip-range": SERVICES,
            # Its default is a folder below /usr, which it makes.
            "flex-volume-plugin-dir": self.paths.state / "volume-plugins",
            **CONTROLLER_REQUESTS,
        }
        return self._daemon("controller-manager", options, self._health(CONTROLLER_MANAGER_PORT))

    def scheduler(self) -> Daemon:
        """The scheduler with its default profile."""
        server = self.server
        options = {
            "kubeconfig": self.client("scheduler", "system:kube-scheduler"),
            "bind-address": CONTROL_PLANE,
            "secure-port": SCHEDULER_PORT,
            "tls-cert-file": server.certificate,
            "tls-private-key-file": server.key,
            "leader-elect": "false",
            **CONTROLLER_REQUESTS,
        }
        return self._daemon("scheduler", options, self._health(SCHEDULER_PORT))

    def proxy(self) -> Daemon:
        """kube-proxy; one is enough, since all nodes share this machine's network namespace."""
        config = self.paths.config / "proxy.yaml"
        write_private(config, yaml.safe_dump(self._proxy_configuration(), sort_keys=False))
        health = f"http://{CONTROL_PLANE}:{PROXY_HEALTH_PORT}/livez"
        return self._daemon("proxy", {"config": config}, lambda: answers(health, 200))

    def _proxy_configuration(self) -> dict[str, object]:
        return {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": str(self.client("proxy", "system:kube-proxy"))},
            "mode": "iptables",
            "clusterCIDR": str(PODS),
            "hostnameOverride": FIRST_NODE,
            "bindAddress": str(CONTROL_PLANE),
            "healthzBindAddress": f"{CONTROL_PLANE}:{PROXY_HEALTH_PORT}",
            "metricsBindAddress": f"{CONTROL_PLANE}:{PROXY_METRICS_PORT}",
            # Node ports open on the bridges only, not on the machine's own network.
            "nodePortAddresses": [str(PODS)],
            # The default of a second between updates would be the longest part of a pod's way to its clients.
            "iptables": {"localhostNodePorts": False, "minSyncPeriod": "100ms"},
            # Zero leaves the machine's connection tracking as it is.
            "conntrack": {
                "maxPerCore": 0,
                "min": 0,
                "tcpEstablishedTimeout": "0s",
                "tcpCloseWaitTimeout": "0s",
            },
            "oomScoreAdj": 0,  # a lower score needs CAP_SYS_RESOURCE, which root in a container may lack
        }

    def _health(self, port: int) -> Callable[[], bool]:
        return lambda: self.api.healthy(f"https://{CONTROL_PLANE}:{port}/healthz")

    def _daemon(self, name: str, options: Mapping[str, object], ready: Callable[[], bool]) -> Daemon:
        argv = [str(self.program), name, *flags(options)]
        return Daemon(name, argv, ready, environment=GARBAGE_COLLECTION)
