"""A node's kubelet: its configuration, its identity, its daemon."""

from contextlib import suppress
from pathlib import Path

import yaml

from tools.localcluster import cgroups, kubeconfig
from tools.localcluster.api import Api
from tools.localcluster.certificates import Authority
from tools.localcluster.errors import ClusterError
from tools.localcluster.nodespec import NodeSpec
from tools.localcluster.paths import NodePaths, private_folder, write_private
from tools.localcluster.processes import Daemon
from tools.localcluster.settings import DNS_DOMAIN, DNS_SERVICE, KUBELET_PORT, node_address

# Compiled into the kubelet, whatever its --root-dir: the place where device plugins register (each node
# sees a folder of its own there: namespace.py), and links to the containers' output.
SHARED_FOLDER = Path("/var/lib/kubelet")
SHARED_LOG_LINKS = Path("/var/log/containers")


def certificate_name(node: str) -> str:
    """Name the files of a node's certificate."""
    return f"node-{node}"


class Kubelet:
    """One node's kubelet.

    Args:
        spec: what the node is.
        node: its folders.
        program: the localkube binary.
        authority: signs its certificate.
        api: the administrator's client.
    """

    def __init__(
        self, spec: NodeSpec, node: NodePaths, program: Path, authority: Authority, api: Api
    ) -> None:
        self._spec = spec
        self._node = node
        self._program = program
        self._authority = authority
        self._api = api

    def daemon(self) -> Daemon:
        """The daemon, ready when its own health check passes and the API server calls the node Ready."""
        spec, node = self._spec, self._node
        cgroups.create(cgroups.node_group(spec.name))
        private_folder(node.pod_logs)
        config = node.config / "kubelet.yaml"
        write_private(config, yaml.safe_dump(self.configuration(), sort_keys=False))
        options = {
            "config": config,
            "kubeconfig": self._kubeconfig(),
            "root-dir": SHARED_FOLDER,
            "hostname-override": spec.name,
            "node-ip": node_address(spec.index),
            "node-labels": ",".join(f"{key}={value}" for key, value in spec.kubelet_labels().items()),
        }
        argv = [str(self._program), "kubelet", *(f"--{name}={value}" for name, value in options.items())]
        return Daemon(f"kubelet-{spec.name}", argv, self.ready, namespace=node.namespace)

    def ready(self) -> bool:
        """Say whether the kubelet is well and its node is Ready."""
        address = node_address(self._spec.index)
        if not self._api.healthy(f"https://{address}:{KUBELET_PORT}/healthz"):
            return False
        with suppress(ClusterError):  # an API server that is busy starting
            return is_ready(self._api.get(f"/api/v1/nodes/{self._spec.name}"))
        return False

    def _kubeconfig(self) -> Path:
        name = self._spec.name
        pair = self._authority.ensure_pair(
            certificate_name(name),
            f"system:node:{name}",
            ["system:nodes"],
            [name, node_address(self._spec.index)],
        )
        return kubeconfig.write(self._node.config / "kubelet.kubeconfig", self._authority, pair)

    def configuration(self) -> dict[str, object]:
        """Build the KubeletConfiguration."""
        pair = self._authority.pair(certificate_name(self._spec.name))
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": str(node_address(self._spec.index)),  # so that every kubelet can have port 10250
            "port": KUBELET_PORT,
            "healthzPort": 0,
            "tlsCertFile": str(pair.certificate),
            "tlsPrivateKeyFile": str(pair.key),
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(self._authority.ca)},
            },
            "authorization": {"mode": "Webhook"},
            "containerRuntimeEndpoint": f"unix://{self._node.socket}",
            "clusterDNS": [str(DNS_SERVICE)],
            "clusterDomain": DNS_DOMAIN,
            "resolvConf": "",  # pods get the cluster's DNS alone, never the machine's
            "registerWithTaints": [taint.manifest() for taint in self._spec.taints],
            "volumePluginDir": str(self._node.state / "volume-plugins"),
            "podLogsDir": str(self._node.pod_logs),
            "serializeImagePulls": False,
            # How soon devices that a plugin registers are on the Node object (default 10 s). An unchanged
            # status is still written every 5 minutes only, which would follow the first value unless set.
            "nodeStatusUpdateFrequency": "2s",
            "nodeStatusReportFrequency": "5m",
            "oomScoreAdj": 0,  # a lower score needs CAP_SYS_RESOURCE, which root in a container may lack
            **self._shared_machine(),
        }

    def _shared_machine(self) -> dict[str, object]:
        """Settings for a machine that is not the kubelet's alone."""
        return {
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{cgroups.node_group(self._spec.name)}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "enforceNodeAllocatable": ["none"],  # the machine's other work must not be squeezed
            # A full disk or a busy neighbour is no reason to evict; only a machine at its very end is.
            "evictionHard": {
                "memory.available": "50Mi",
                "nodefs.available": "1%",
                "nodefs.inodesFree": "1%",
                "imagefs.available": "1%",
            },
            "imageGCHighThresholdPercent": 100,  # loaded images stay, however full the disk is
        }


def is_ready(node: dict[str, object] | None) -> bool:
    """Read a Node object's Ready condition."""
    status = (node or {}).get("status")
    conditions = status.get("conditions", []) if isinstance(status, dict) else []
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
