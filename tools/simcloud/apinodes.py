"""Nodes that are API objects only: no kubelet, no containers, but Ready and with GPUs; hundreds are cheap."""

import logging
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tools.simcloud.errors import SimCloudError
from tools.simcloud.kubeapi import KubeApi
from tools.simcloud.pool import Pool

logger = logging.getLogger(__name__)

Json = dict[str, Any]
NODES = "/api/v1/nodes"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
LEASE_S = 40
"""As kubelets have it."""


class ApiNodes:
    """Makes Node objects and keeps them Ready.

    A node lives by its Lease, as a kubelet's does; one thread renews all of them, one small request each.
    The Node object itself is written once, so watchers are not woken.

    Args:
        kubeconfig: of the cluster; may create nodes and leases.
        renew_s: seconds between two renewals.
    """

    def __init__(self, kubeconfig: Path, *, renew_s: float = 10.0) -> None:
        self._api = KubeApi(kubeconfig)
        self._renew_s = renew_s
        self._alive: set[str] = set()
        self._guard = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="simcloud-heartbeat", daemon=True)
        self._thread.start()

    def boot(self, pool: Pool, node_name: str, provider_id: str) -> None:
        """Create the Node and its Lease; those that are there stay as they are."""
        self._api.create(NODES, node(pool, node_name, provider_id))
        if not self._api.merge(f"{LEASES}/{node_name}", _renewal()):
            self._api.create(LEASES, lease(node_name))
        with self._guard:
            self._alive.add(node_name)

    def remove(self, node_name: str) -> None:
        """Delete the Node and its Lease. Finalizers on the Node are its owner's matter."""
        self._forget(node_name)
        self._api.delete(f"{NODES}/{node_name}")
        self._api.delete(f"{LEASES}/{node_name}")

    def kill(self, node_name: str) -> None:
        """Renew its Lease no more, and say NotReady for the cluster, which would take 40 s to say it."""
        self._forget(node_name)
        status = {
            "conditions": _conditions("Unknown", "NodeStatusUnknown", "Kubelet stopped posting status.")
        }
        self._api.merge(f"{NODES}/{node_name}/status", {"status": status})

    def close(self) -> None:
        """End the renewals; the nodes turn NotReady in time."""
        self._closing.set()
        self._thread.join()
        self._api.close()

    def _forget(self, node_name: str) -> None:
        with self._guard:
            self._alive.discard(node_name)

    def _renew(self) -> None:
        while not self._closing.wait(self._renew_s):
            with self._guard:
                names = sorted(self._alive)
            began = time.monotonic()
            for name in names:
                if self._closing.is_set():
                    return
                self._renew_one(name)
            if (took := time.monotonic() - began) > self._renew_s:
                logger.warning("renewing %d leases took %.1f s: nodes may be NotReady", len(names), took)

    def _renew_one(self, name: str) -> None:
        try:
            self._api.merge(f"{LEASES}/{name}", _renewal())
        except SimCloudError as error:
            logger.warning("lease of node %s is not renewed now: %s", name, error)


def node(pool: Pool, name: str, provider_id: str) -> Json:
    """Write the Node object of a VM, as its kubelet would register it, Ready at once.

    Args:
        pool: says labels, taints and size.
        name: of the node.
        provider_id: its spec.providerID.
    """
    amounts = {
        "cpu": str(pool.vcpus),
        "memory": f"{pool.memory_gib:g}Gi",
        "ephemeral-storage": f"{pool.properties.get('osDiskSizeGB') or 128}Gi",
        "pods": "110",
    }
    if pool.gpus:
        amounts["nvidia.com/gpu"] = str(pool.gpus)
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {**pool.labels(), **labels}},
        "spec": {"providerID": provider_id, "taints": [taint.manifest() for taint in pool.taints()]},
        "status": {
            "capacity": amounts,
            "allocatable": amounts,
            "conditions": _conditions("True", "KubeletReady", "The node has no kubelet, and is ready."),
            "nodeInfo": _node_info(),
        },
    }


def lease(name: str) -> Json:
    """Write the Lease by which a node lives."""
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name},
        "spec": {"holderIdentity": name, "leaseDurationSeconds": LEASE_S, **_renewal()["spec"]},
    }


def _renewal() -> Json:
    return {"spec": {"renewTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")}}


def _conditions(ready: str, reason: str, message: str) -> list[Json]:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    condition = {"type": "Ready", "status": ready, "reason": reason, "message": message}
    return [{**condition, "lastHeartbeatTime": now, "lastTransitionTime": now}]


def _node_info() -> dict[str, str]:
    return {
        "architecture": "amd64",
        "operatingSystem": "linux",
        "osImage": "none: simulated",
        "kernelVersion": "none",
        "kubeletVersion": "v0.0.0-simulated",
        "kubeProxyVersion": "",
        "containerRuntimeVersion": "containerd://2.1.0",
        "bootID": "",
        "machineID": "",
        "systemUUID": "",
    }
