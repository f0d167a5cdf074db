"""The local cluster: a real control plane and real nodes, as processes of this machine."""

import fcntl
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tools.localcluster import binaries, network, preflight
from tools.localcluster.errors import ClusterError
from tools.localcluster.kubelet import SHARED_FOLDER
from tools.localcluster.nodespec import INSTANCE_TYPE_LABEL, NodeSpec, Taint, free_index
from tools.localcluster.paths import CHECKOUT_KUBECONFIG, Paths, cache_folder, write_private
from tools.localcluster.processes import Processes, boot_id
from tools.localcluster.registry import OPEN_REGISTRY, REGISTRIES, Credentials, credentials
from tools.localcluster.removal import Removal, read_record
from tools.localcluster.settings import DEFAULT_KUBERNETES, FIRST_NODE, Release, release
from tools.localcluster.stack import Stack, opened
from tools.localcluster.status import Status, observe_nodes, observe_processes

Say = Callable[[str], None]


class Cluster:
    """The one local cluster of this machine; every object of this class means the same one.

    Args:
        kubernetes: version for ``up``, such as ``1.36``; None takes the running one's, else the default.
        kubeconfig: where ``up`` puts the administrator's kubeconfig.
        say: gets each line of progress.
        paths: other folders than the usual ones.
    """

    registry = OPEN_REGISTRY
    is_ours = True
    description = "a local cluster on this machine"

    def __init__(
        self,
        kubernetes: str | None = None,
        *,
        kubeconfig: Path = CHECKOUT_KUBECONFIG,
        say: Say = print,
        paths: Paths | None = None,
    ) -> None:
        self.kubeconfig = kubeconfig.absolute()
        self.paths = paths or Paths(cache_folder())
        self._say = say
        self._kubernetes = kubernetes
        self._processes = Processes(self.paths.processes, self.paths.logs)

    @property
    def audit_log(self) -> Path:
        """The API server's audit log; tools.localcluster.audit reads it."""
        return self.paths.audit_log

    @property
    def registry_credentials(self) -> Credentials:
        """The account of the private registry."""
        self._record()
        return credentials(self.paths)

    def up(self) -> None:
        """Start the cluster, or repair it; return at once when it is healthy.

        Raises:
            ClusterError: the machine lacks something, another version runs, or a part does not start.
        """
        preflight.check_platform()
        preflight.ensure_packages(self._say)
        with self._changing():
            chosen = self._choose_release()
            if self._same_boot() and self._healthy(chosen):
                self._hand_out_kubeconfig()
                self._say(f"The local cluster (Kubernetes {chosen.version}) is healthy: nothing to do.")
                return
            binaries.ensure(self.paths.binaries, chosen, self._say)
            began = time.monotonic()
            if not (self._same_boot() and self._repaired(chosen)):
                self._start_anew(chosen)
            self._hand_out_kubeconfig()
        took = time.monotonic() - began
        self._say(f"Kubernetes {chosen.version} is up after {took:.1f} s. Kubeconfig: {self.kubeconfig}")

    def down(self, *, purge: bool = False) -> None:
        """Remove the cluster and everything it made on this machine.

        The registries' content, and the first node's images when it stopped in good order, are kept in
        the cache folder for the next ``up``.

        Args:
            purge: remove these too.
        """
        preflight.check_platform()
        with self._changing():
            Removal(self.paths, self._processes).run(purge=purge)
        self._say("The local cluster is removed.")

    def status(self) -> Status:
        """Look at the cluster without changing it."""
        preflight.check_platform()
        record = read_record(self.paths)
        if not record:
            return Status(exists=False)
        with self._opened() as stack:
            return Status(
                exists=True,
                healthy=self._same_boot() and stack.healthy(),
                kubernetes=record["kubernetes"],
                paths={
                    "kubeconfig": str(self.paths.admin_kubeconfig),
                    "audit log": str(self.paths.audit_log),
                    "logs": str(self.paths.logs),
                },
                registries=REGISTRIES,
                processes=observe_processes(self._processes),
                nodes=observe_nodes(stack.api),
            )

    def add_node(
        self,
        name: str,
        *,
        labels: Mapping[str, str] | None = None,
        taints: Sequence[Taint] = (),
        gpus: int = 0,
        instance_type: str | None = None,
        pluggable_gpus: int = 0,
    ) -> None:
        """Boot one more node and wait until it is Ready. The same request again changes nothing.

        Args:
            name: of the node.
            labels: for the Node object, present at its registration where a kubelet may set them.
            taints: present at its registration.
            gpus: amount of nvidia.com/gpu that it pretends to have.
            instance_type: short for its label node.kubernetes.io/instance-type.
            pluggable_gpus: simulated GPUs that appear when a device plugin registers them.
        """
        wanted = dict(labels or {})
        if instance_type:
            wanted[INSTANCE_TYPE_LABEL] = instance_type
        with self._changing(), self._opened() as stack:
            present = {node.spec.name: node for node in stack.nodes()}
            index = free_index([node.spec.index for node in present.values()])
            spec = NodeSpec(name, index, wanted, tuple(taints), gpus, pluggable_gpus)
            if name in present and not present[name].spec.same_request(spec):
                raise ClusterError(f"There is a node {name} that is different: remove-node {name} first.")
            node = present.get(name) or stack.node(spec)
            node.save()
            node.start_runtime()
            node.start_kubelet()
            node.wait_ready()

    def remove_node(self, name: str) -> None:
        """Stop a node, remove it from the machine and from the API server; one that is gone is fine."""
        if name == FIRST_NODE:
            raise ClusterError(f"{name} carries the control plane's address: only down removes it.")
        with self._changing(), self._opened() as stack:
            for node in stack.nodes():
                if node.spec.name == name:
                    node.remove()

    def load_image(self, reference: str, archive: Path | None = None) -> None:
        """Bring an image to every node.

        Args:
            reference: the image's full name.
            archive: an OCI or Docker archive that holds it; without one it is pulled from its registry.
        """
        if archive and not archive.is_file():
            raise ClusterError(f"There is no file {archive}: give the path of an image archive.")
        with self._opened() as stack:
            for node in stack.nodes():
                if archive:
                    node.containerd.import_image(archive.absolute())
                else:
                    node.load_image(reference)
                if not node.containerd.has_image(reference):
                    raise ClusterError(
                        f"{archive} holds no image named {reference}: give the name it was saved under."
                    )

    def _record(self) -> dict[str, object]:
        """Read cluster.json; ClusterError when there is no cluster."""
        record = read_record(self.paths)
        if not record:
            raise ClusterError("There is no local cluster: python -m tools.localcluster up starts one.")
        return record

    @contextmanager
    def _opened(self, chosen: Release | None = None) -> Iterator[Stack]:
        """Open the running cluster, or one that is about to start with the chosen release."""
        preflight.check_platform()
        which = chosen or release(str(self._record()["kubernetes"]))
        with opened(self.paths, which, self._processes) as stack:
            yield stack

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Keep other commands from changing the cluster at the same time."""
        with self.paths.lock.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._say("Waiting for another command that is changing the cluster.")
                fcntl.flock(lock, fcntl.LOCK_EX)
            self._refuse_another_cache()
            yield

    def _refuse_another_cache(self) -> None:
        """Leave a cluster alone whose files lie in another cache folder, unless that folder is gone."""
        owner = self.paths.owner
        cache = Path(owner.read_text()) if owner.exists() else self.paths.cache
        if cache != self.paths.cache and Paths(cache).record.exists():
            raise ClusterError(
                f"The local cluster of this machine belongs to another cache folder, {cache}. "
                f"Remove it first: KAITO_CACHE={cache} python -m tools.localcluster down"
            )

    def _choose_release(self) -> Release:
        running = read_record(self.paths).get("kubernetes")
        chosen = release(self._kubernetes or running or DEFAULT_KUBERNETES)
        if running and running != chosen.version:
            raise ClusterError(
                f"A local cluster with Kubernetes {running} is here. "
                "Remove it first: python -m tools.localcluster down"
            )
        return chosen

    def _same_boot(self) -> bool:
        """Say whether there is a cluster of this boot: an older one lost its processes and unsynced data."""
        return bool(read_record(self.paths).get("boot") == boot_id())

    def _healthy(self, chosen: Release) -> bool:
        with self._opened(chosen) as stack:
            return stack.healthy()

    def _repaired(self, chosen: Release) -> bool:
        self._say("The local cluster is incomplete: starting what is missing.")
        try:
            self._start(chosen)
        except ClusterError as error:
            self._say(f"{error}\nIt cannot be repaired: removing it and starting anew.")
            return False
        return True

    def _start_anew(self, chosen: Release) -> None:
        Removal(self.paths, self._processes).run()
        preflight.check_machine()
        record = {
            "kubernetes": chosen.version,
            "boot": boot_id(),
            "kernel_settings": network.kernel_settings(),
            "made_kubelet_folder": not SHARED_FOLDER.exists(),
            "kubeconfigs": [],
        }
        write_private(self.paths.owner, str(self.paths.cache))
        write_private(self.paths.record, json.dumps(record, indent=2))
        self._start(chosen)

    def _start(self, chosen: Release) -> None:
        began = time.monotonic()

        def done(what: str) -> None:
            self._say(f"  {time.monotonic() - began:5.1f} s  {what}")

        with self._opened(chosen) as stack:
            stack.start(done)

    def _hand_out_kubeconfig(self) -> None:
        """Copy the kubeconfig to where it was asked for, and note that, so that ``down`` removes it."""
        write_private(self.kubeconfig, self.paths.admin_kubeconfig.read_text())
        record = read_record(self.paths)
        record["kubeconfigs"] = sorted({*record.get("kubeconfigs", []), str(self.kubeconfig)})
        write_private(self.paths.record, json.dumps(record, indent=2))
