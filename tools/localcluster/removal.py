"""Take a cluster off the machine, whatever state it is in."""

import json
import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

from tools.localcluster import cgroups, leftovers, mounts, network, registry
from tools.localcluster.binaries import locate
from tools.localcluster.containerd import Containerd
from tools.localcluster.errors import ClusterError
from tools.localcluster.kubelet import SHARED_FOLDER
from tools.localcluster.paths import Paths
from tools.localcluster.processes import Processes, strays
from tools.localcluster.settings import DEFAULT_KUBERNETES, FIRST_NODE, release

# The order in which daemons lose the least: clients before their servers. Others (the containerds)
# come between these and the API server's database.
CLIENTS = ("dns", "proxy", "scheduler", "controller-manager", "apiserver", "etcd")


class Removal:
    """Removes everything that this package ever makes; each step works without the ones before.

    Args:
        paths: the cluster's folders.
        processes: the cluster's daemons.
    """

    def __init__(self, paths: Paths, processes: Processes) -> None:
        self._paths = paths
        self._processes = processes

    def run(self, *, purge: bool = False) -> None:
        """Remove the cluster.

        Args:
            purge: also drop what the next cluster could use again: images of the first node and the
                content of the registries.
        """
        nodes = self._nodes()
        clean = self._stop_nodes(nodes)
        self._stop_daemons()
        cgroups.kill(cgroups.TREE)
        self._end_strays()
        self._keep_images(clean)
        for name in nodes:
            leftovers.remove_node_files(name, self._paths.node(name))
        mounts.unmount_below(self._paths.run, self._paths.state, self._paths.kept_images)
        network.remove_all()
        self._restore_machine()
        cgroups.remove(cgroups.TREE)
        shutil.rmtree(self._paths.run, ignore_errors=True)
        shutil.rmtree(self._paths.state, ignore_errors=True)
        if purge:
            shutil.rmtree(self._paths.kept_images.parent, ignore_errors=True)
            shutil.rmtree(self._paths.registry_content, ignore_errors=True)

    def _nodes(self) -> list[str]:
        """Name all nodes of which anything is left."""
        folders = [*self._paths.nodes.glob("*/"), *self._paths.run.glob("*/")]
        return sorted({FIRST_NODE, *(folder.name for folder in folders)})

    def _stop_nodes(self, nodes: list[str]) -> bool:
        """Stop kubelets and pods; True when the first node's containerd has forgotten all its containers."""
        programs = locate(self._paths.binaries, release(DEFAULT_KUBERNETES)).containerd
        clean = False
        for name in nodes:
            self._processes.stop(f"kubelet-{name}")
        for name in nodes:
            cgroups.kill(cgroups.node_group(name))
            if name == FIRST_NODE and self._processes.running(f"containerd-{name}"):
                with suppress(ClusterError):
                    clean = Containerd(name, self._paths.node(name), programs).remove_containers()
        return clean

    def _stop_daemons(self) -> None:
        others = [name for name in self._processes.names() if name not in CLIENTS]
        for name in [*CLIENTS, *others]:
            self._processes.stop(name)

    def _end_strays(self) -> None:
        programs = [f"{self._paths.binaries}/", shutil.which(registry.PROGRAM) or registry.PROGRAM]
        for pid in strays(programs, [self._paths.state, self._paths.run]):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _keep_images(self, clean: bool) -> None:
        """Keep the first node's images only when they were left in order.

        A containerd that was killed may leave containers of a cluster that is gone, and after a power
        cut half-written layers: such content is dropped rather than trusted.
        """
        mark = self._paths.images_in_order
        if clean and mark.parent.exists():
            mark.touch()
        elif not mark.exists():
            mounts.unmount_below(self._paths.kept_images)
            shutil.rmtree(self._paths.kept_images, ignore_errors=True)

    def _restore_machine(self) -> None:
        """Put back what the record of the start says was different before."""
        record = read_record(self._paths)
        network.apply_kernel_settings(record.get("kernel_settings", {}))
        if record.get("made_kubelet_folder"):
            mounts.unmount_below(SHARED_FOLDER)
            shutil.rmtree(SHARED_FOLDER, ignore_errors=True)
        self._remove_kubeconfigs(record.get("kubeconfigs", []))

    def _remove_kubeconfigs(self, written: list[str]) -> None:
        """Remove the copies of our kubeconfig, unless somebody has changed them."""
        with suppress(FileNotFoundError):
            ours = self._paths.admin_kubeconfig.read_text()
            for path in map(Path, written):
                if path.exists() and path.read_text() == ours:
                    path.unlink()


def read_record(paths: Paths) -> dict[str, Any]:
    """Read cluster.json; empty when there is none or a damaged one."""
    try:
        found = json.loads(paths.record.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
