"""One node: a containerd and a kubelet with a bridge, folders and control groups of their own."""

from tools.localcluster import cgroups, leftovers, namespace, network, seed
from tools.localcluster.api import Api, Json
from tools.localcluster.binaries import Binaries
from tools.localcluster.certificates import Authority
from tools.localcluster.containerd import Containerd
from tools.localcluster.kubelet import Kubelet, certificate_name
from tools.localcluster.nodespec import GPU_RESOURCE, NodeSpec
from tools.localcluster.paths import Paths, write_private
from tools.localcluster.processes import Daemon, Processes
from tools.localcluster.settings import FIRST_NODE, PAUSE_IMAGE, bridge


def runtime_daemon(name: str) -> str:
    """Name the daemon record of a node's containerd."""
    return f"containerd-{name}"


def kubelet_daemon(name: str) -> str:
    """Name the daemon record of a node's kubelet."""
    return f"kubelet-{name}"


class Node:
    """A node that can be started, repaired and removed.

    Args:
        spec: what it is.
        paths: the cluster's folders.
        binaries: programs and the pause image.
        authority: signs its certificate.
        api: the administrator's client.
        processes: the cluster's daemons.
    """

    def __init__(
        self,
        spec: NodeSpec,
        paths: Paths,
        binaries: Binaries,
        processes: Processes,
        authority: Authority,
        api: Api,
    ) -> None:
        self.spec = spec
        self._paths = paths.node(spec.name)
        self._images_of_first = paths.node(FIRST_NODE).images
        self._binaries = binaries
        self._processes = processes
        self._authority = authority
        self._api = api
        self.containerd = Containerd(spec.name, self._paths, binaries.containerd)
        self._kubelet = Kubelet(spec, self._paths, binaries.localkube, authority, api)

    def save(self) -> None:
        """Record the node before anything of it exists, so that an interrupted start can be undone."""
        write_private(self._paths.record, self.spec.to_json())

    def daemons(self) -> list[Daemon]:
        """Its two daemons, in the order of their start."""
        return [self.containerd.daemon(), self._kubelet.daemon()]

    def start_runtime(self) -> None:
        """Start the container runtime without waiting for it."""
        network.ensure_bridge(self.spec.index)
        namespace.ensure(self._paths)
        if not self._paths.images.exists() and seed.available(self._images_of_first):
            seed.plant(
                self._images_of_first,
                self.spec.name,
                self._paths,
                self._binaries.containerd,
                self._processes,
            )
        self.containerd.write_configuration(self.spec.index)
        self._processes.ensure(self.containerd.daemon())

    def start_kubelet(self) -> None:
        """Wait for the runtime, give it the pause image and start the kubelet."""
        self._processes.wait_ready(self.containerd.daemon())
        if not self.containerd.has_image(PAUSE_IMAGE):
            self.containerd.import_image(self._binaries.pause_archive)
        write_private(self._paths.simulated_gpus, f"{self.spec.pluggable_gpus}\n")
        self._processes.ensure(self._kubelet.daemon())

    def wait_ready(self) -> None:
        """Wait until the node is Ready, then give it what only an administrator may."""
        self._processes.wait_ready(self._kubelet.daemon())
        self.dress()

    def dress(self) -> None:
        """Set administrator's labels and pretended GPUs, unless they are there.

        The kubelet keeps extended resources it did not make, also over its own restart; only a
        kubelet whose node object was deleted starts without them.
        """
        path = f"/api/v1/nodes/{self.spec.name}"
        node = self._api.get(path) or {}
        labels = self.spec.administrator_labels()
        if not labels.items() <= node.get("metadata", {}).get("labels", {}).items():
            self._api.merge(path, {"metadata": {"labels": labels}})
        if self.spec.gpus and not has_gpus(node, self.spec.gpus):
            # The kubelet computes allocatable from capacity within 10 s; writing both saves the wait.
            amount = {GPU_RESOURCE: str(self.spec.gpus)}
            self._api.merge(f"{path}/status", {"status": {"capacity": amount, "allocatable": amount}})

    def healthy(self) -> bool:
        """Say whether both daemons run and are ready, with all GPUs in place."""
        running = all(self._processes.works(daemon) for daemon in self.daemons())
        if not running or not self.spec.gpus:
            return running
        return has_gpus(self._api.get(f"/api/v1/nodes/{self.spec.name}") or {}, self.spec.gpus)

    def load_image(self, reference: str) -> None:
        """Pull an image, unless it is there."""
        if not self.containerd.has_image(reference):
            self.containerd.pull_image(reference)

    def remove(self) -> None:
        """Stop it and remove everything of it from the machine and from the API server.

        Its record goes last: a removal that was interrupted can be repeated.
        """
        name = self.spec.name
        self._processes.stop(kubelet_daemon(name))
        cgroups.kill(cgroups.node_group(name))
        self._processes.stop(runtime_daemon(name))
        self._processes.stop(seed.daemon_name(name))
        cgroups.kill(cgroups.runtime_group(name))
        for group in (cgroups.node_group(name), cgroups.runtime_group(name)):
            cgroups.remove(group)
        network.remove_bridge(bridge(self.spec.index))
        pair = self._authority.pair(certificate_name(name))
        pair.key.unlink(missing_ok=True)
        pair.certificate.unlink(missing_ok=True)
        self._api.delete(f"/api/v1/nodes/{name}")
        leftovers.remove_node_files(name, self._paths)


def has_gpus(node: Json, count: int) -> bool:
    """Say whether a Node object shows this many GPUs."""
    found: str | None = node.get("status", {}).get("allocatable", {}).get(GPU_RESOURCE)
    return found == str(count)
