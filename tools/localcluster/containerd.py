"""A node's containerd: its configuration, its daemon, its images and containers."""

import json
from collections.abc import Sequence
from pathlib import Path

from tools.localcluster import cgroups
from tools.localcluster.command import run
from tools.localcluster.errors import ClusterError
from tools.localcluster.paths import NodePaths, private_folder, write_private
from tools.localcluster.probes import listens
from tools.localcluster.processes import Daemon
from tools.localcluster.registry import REGISTRIES
from tools.localcluster.settings import (
    NAME,
    PAUSE_IMAGE,
    PODS,
    SERVICES,
    bridge,
    pod_network,
)

CNI_PLUGINS = Path("/usr/lib/cni")
# Neither is used here, and both would create folders outside ours.
UNUSED_PLUGINS = ("io.containerd.nri.v1.nri", "io.containerd.internal.v1.opt")
NAMESPACE = "k8s.io"  # the one that the kubelet's containers and images live in


def network_name(node: str) -> str:
    """Name the CNI network of a node; the files it leaves in shared folders begin with this."""
    return f"{NAME}-{node}"


def cni_configuration(name: str, index: int, leases: Path) -> str:
    """Render the network of a node's pods: one bridge, one /24, nothing translated on its way out.

    Args:
        name: of the node.
        index: chooses bridge and subnet.
        leases: folder in which the address plugin notes who has which address.
    """
    plugin = {
        "type": "bridge",
        "bridge": bridge(index),
        "isGateway": True,
        "ipMasq": False,  # pods need nothing from outside, and nobody outside could answer them
        "hairpinMode": True,  # a pod must reach itself through its own Service
        "ipam": {
            "type": "host-local",
            "dataDir": str(leases),
            "ranges": [[{"subnet": str(pod_network(index))}]],
            # No default route: what a pod sends elsewhere fails at once and stays on this machine.
            "routes": [{"dst": str(PODS)}, {"dst": str(SERVICES)}],
        },
    }
    network = {"cniVersion": "1.0.0", "name": network_name(name), "plugins": [plugin]}
    return json.dumps(network, indent=2)


def registry_hosts(registry: str) -> str:
    """Render the hosts.toml of a registry (HOST:PORT) on this machine: plain HTTP, and nowhere else."""
    server = f'"http://{registry}"'
    return f'server = {server}\n\n[host.{server}]\n  capabilities = ["pull", "resolve", "push"]\n'


def configuration(node: NodePaths) -> str:
    """Render containerd's own configuration (format version 3)."""
    certs = node.config / "registries"
    unused = ", ".join(f'"{name}"' for name in UNUSED_PLUGINS)
    return f"""\
version = 3
root = "{node.images}"
state = "{node.containerd_state}"
temp = "{node.run}/temp"
imports = []
disabled_plugins = [{unused}]

[grpc]
address = "{node.socket}"

[plugins."io.containerd.cri.v1.images"]
# Written layers are enough to run; a test image need not survive a power cut.
snapshotter = "overlayfs"
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{PAUSE_IMAGE}"
[plugins."io.containerd.cri.v1.images".registry]
config_path = "{certs}"

[plugins."io.containerd.transfer.v1.local"]
config_path = "{certs}"

[plugins."io.containerd.cri.v1.runtime"]
# A sandbox asks for -998. Where root lacks CAP_SYS_RESOURCE, runc dies of that with
# "can't get final child's PID from pipe: EOF".
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["{CNI_PLUGINS}"]
conf_dir = "{node.cni}"
use_internal_loopback = true
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
SystemdCgroup = false
Root = "{node.run}/runc"
"""


class Containerd:
    """One node's container runtime.

    Args:
        name: of the node.
        node: its folders.
        programs: folder with containerd, its shim and ctr.
    """

    def __init__(self, name: str, node: NodePaths, programs: Path) -> None:
        self.name = name
        self._node = node
        self._programs = programs

    def write_configuration(self, index: int) -> None:
        """Write all that containerd and the network plugins read."""
        node = self._node
        leases = private_folder(node.state / "leases")
        write_private(node.cni / "kaito.conflist", cni_configuration(self.name, index, leases))
        write_private(node.config / "containerd.toml", configuration(node))
        for registry in REGISTRIES:
            write_private(node.config / "registries" / registry / "hosts.toml", registry_hosts(registry))
        private_folder(node.run)

    def daemon(self) -> Daemon:
        """The daemon; its shims are looked up beside it."""
        argv = [str(self._programs / "containerd"), "--config", str(self._node.config / "containerd.toml")]
        path = f"{self._programs}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return Daemon(
            f"containerd-{self.name}",
            argv,
            lambda: listens(self._node.socket),
            environment={"PATH": path},
            group=cgroups.runtime_group(self.name),
            namespace=self._node.namespace,
        )

    def ctr(self, *arguments: str, tolerate: bool = False, timeout_s: float = 60) -> str:
        """Run ctr in Kubernetes' namespace of this node."""
        address = ("--address", str(self._node.socket), "--namespace", NAMESPACE)
        return run(str(self._programs / "ctr"), *address, *arguments, tolerate=tolerate, timeout_s=timeout_s)

    def has_image(self, reference: str) -> bool:
        """Say whether the node holds an image."""
        return reference in self.ctr("images", "list", "--quiet", f"name=={reference}").split()

    def import_image(self, archive: Path) -> None:
        """Load an OCI or Docker archive."""
        self.ctr("images", "import", "--local", str(archive), timeout_s=900)

    def pull_image(self, reference: str) -> None:
        """Fetch an image from a registry that needs no sign-in."""
        hosts = str(self._node.config / "registries")
        try:
            self.ctr("images", "pull", "--local", "--hosts-dir", hosts, reference, timeout_s=900)
        except ClusterError as error:
            raise ClusterError(
                f"{error}\nPush the image first (buildah push --tls-verify=false {reference}), "
                "or load a file with --archive."
            ) from None

    def remove_containers(self) -> bool:
        """Kill and forget every container and sandbox; True when none is left.

        Their network is not undone here: the bridge goes with the node, and the addresses' leases too.
        """
        for kind in ("containers", "sandboxes"):
            for _ in range(3):  # a shim may be busy dying
                found = self._list(kind)
                if not found:
                    break
                self._remove(kind, found)
        self._end_leases()
        return not self._list("containers") and not self._list("sandboxes")

    def _end_leases(self) -> None:
        """Let go of what sandboxes held beside their containers: the layers of image volumes."""
        held = self.ctr("leases", "list", "--quiet").split()
        if held:
            self.ctr("leases", "delete", "--sync", *held, tolerate=True)

    def _list(self, kind: str) -> list[str]:
        quiet = ["--quiet"] if kind == "containers" else []
        lines = self.ctr(kind, "list", *quiet).splitlines()
        if kind == "sandboxes":
            lines = lines[1:]  # a heading
        return [line.split()[0] for line in lines if line.strip()]

    def _remove(self, kind: str, identifiers: Sequence[str]) -> None:
        if kind == "containers":
            for identifier in identifiers:
                self.ctr("tasks", "delete", "--force", identifier, tolerate=True)
            self.ctr("containers", "delete", *identifiers, tolerate=True)
        else:
            self.ctr("sandboxes", "remove", "--force", *identifiers, tolerate=True)
