"""Where the local cluster keeps its files."""

import os
from dataclasses import dataclass
from pathlib import Path

from tools.localcluster.settings import CONTAINERD_VERSION, FIRST_NODE

SOURCE = Path(__file__).resolve().parent
CHECKOUT = SOURCE.parents[1]
CHECKOUT_KUBECONFIG = CHECKOUT / ".local" / "kubeconfig"


def cache_folder() -> Path:
    """Find the folder for everything that outlives a checkout: $KAITO_CACHE or ~/.cache/kaito."""
    return Path(os.environ.get("KAITO_CACHE") or "~/.cache/kaito").expanduser().absolute()


@dataclass(frozen=True)
class NodePaths:
    """The folders of one node.

    Attributes:
        state: its files; gone after remove-node.
        run: its sockets and the runtime state of its containers.
        images: containerd's root, with the image content.
    """

    state: Path
    run: Path
    images: Path

    @property
    def record(self) -> Path:
        """What was asked for: labels, taints, GPUs (node.json)."""
        return self.state / "node.json"

    @property
    def config(self) -> Path:
        """Rendered configuration of its containerd, its CNI plugins and its kubelet."""
        return self.state / "config"

    @property
    def cni(self) -> Path:
        """Folder of its one network configuration."""
        return self.config / "cni"

    @property
    def kubelet(self) -> Path:
        """The kubelet's root: what /var/lib/kubelet is in the node's mount namespace."""
        return self.state / "kubelet"

    @property
    def simulated_gpus(self) -> Path:
        """The number of GPUs that a device plugin finds on the node, as text."""
        return self.kubelet / "simulated-gpus"

    @property
    def namespace(self) -> Path:
        """The file that keeps the node's mount namespace."""
        return self.run / "mount-namespace"

    @property
    def pod_logs(self) -> Path:
        """Output of its containers."""
        return self.state / "pod-logs"

    @property
    def socket(self) -> Path:
        """Containerd's socket."""
        return self.run / "containerd.sock"

    @property
    def containerd_state(self) -> Path:
        """Containerd's bundles of running containers."""
        return self.run / "containerd"


@dataclass(frozen=True)
class Paths:
    """The folders of the cluster. No checkout owns them, so any checkout can repair or remove it.

    Attributes:
        cache: holds the cluster's files, and binaries, images and registry content for a later one.
        run: sockets; the same for every cache folder, since a machine has one local cluster. Short,
            because a socket's path has at most 107 bytes.
    """

    cache: Path
    run: Path = Path("/run/kaito-local")

    @property
    def binaries(self) -> Path:
        """Built programs, their versions in their names."""
        return self.cache / "bin"

    @property
    def state(self) -> Path:
        """Everything that ``down`` removes."""
        return self.cache / "clusters" / "local"

    @property
    def lock(self) -> Path:
        """Held while a command changes the cluster, whichever its cache folder."""
        return self.run.with_name(f"{self.run.name}.lock")

    @property
    def owner(self) -> Path:
        """Names the cache folder of the cluster that is on this machine."""
        return self.run / "cache-folder"

    @property
    def record(self) -> Path:
        """What the running cluster is (cluster.json)."""
        return self.state / "cluster.json"

    @property
    def certificates(self) -> Path:
        """The CA and what it signed."""
        return self.state / "certificates"

    @property
    def config(self) -> Path:
        """Rendered configuration and kubeconfigs of the control plane and the registries."""
        return self.state / "config"

    @property
    def admin_kubeconfig(self) -> Path:
        """The cluster administrator's kubeconfig; users get a copy."""
        return self.config / "admin.kubeconfig"

    @property
    def logs(self) -> Path:
        """Output of the daemons, one file each."""
        return self.state / "logs"

    @property
    def audit_log(self) -> Path:
        """The API server's audit log: one JSON object a line, one line per finished request."""
        return self.logs / "audit.jsonl"

    @property
    def processes(self) -> Path:
        """One record per daemon: its pid and when that process began."""
        return self.state / "processes"

    @property
    def etcd(self) -> Path:
        """The database."""
        return self.state / "etcd"

    @property
    def registry_content(self) -> Path:
        """Blobs of both registries; kept, so that a push after ``down`` and ``up`` finds its layers."""
        return self.cache / "registry"

    @property
    def kept_images(self) -> Path:
        """The first node's containerd root; kept, so that the next cluster need not unpack again."""
        return self.cache / "node-images" / f"containerd-{CONTAINERD_VERSION}"

    @property
    def images_in_order(self) -> Path:
        """A mark: the kept images were left in order and no containerd has touched them since."""
        return self.kept_images / "in-order"

    @property
    def nodes(self) -> Path:
        """One folder per node."""
        return self.state / "nodes"

    def node(self, name: str) -> NodePaths:
        """Give the folders of the node with this name."""
        state = self.nodes / name
        images = self.kept_images / "root" if name == FIRST_NODE else state / "containerd"
        return NodePaths(state, self.run / name, images)


def private_folder(path: Path) -> Path:
    """Create a folder that only root reads: keys, sockets and pods' volumes lie in it."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def write_private(path: Path, text: str) -> None:
    """Write a file that only root reads; the old content stays until the new one is complete."""
    private_folder(path.parent)
    new = path.with_name(f".{path.name}.new")
    new.touch(mode=0o600)
    new.write_text(text)
    new.replace(path)
