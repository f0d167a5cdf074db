"""What the cluster looks like now."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tools.localcluster.api import Api
from tools.localcluster.kubelet import is_ready
from tools.localcluster.nodespec import GPU_RESOURCE, INSTANCE_TYPE_LABEL
from tools.localcluster.processes import Processes

MIB = 1024 * 1024


@dataclass(frozen=True)
class ProcessStatus:
    """A daemon: its pid, 0 when it is not running, and its memory."""

    name: str
    pid: int
    memory_mib: int


@dataclass(frozen=True)
class NodeStatus:
    """A node as the API server shows it."""

    name: str
    ready: bool
    address: str
    instance_type: str
    gpus: int


@dataclass(frozen=True)
class Status:
    """The cluster as a whole.

    Attributes:
        exists: something was started and not removed.
        healthy: every part does its work.
        kubernetes: the exact version; empty without a cluster.
        paths: kubeconfig, audit log and logs.
        registries: references begin with these.
    """

    exists: bool
    healthy: bool = False
    kubernetes: str = ""
    paths: Mapping[str, str] = field(default_factory=dict)
    registries: tuple[str, ...] = ()
    processes: tuple[ProcessStatus, ...] = ()
    nodes: tuple[NodeStatus, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON would hold it."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Write it for a person."""
        if not self.exists:
            return ["No local cluster. Start one: python -m tools.localcluster up"]
        state = "healthy" if self.healthy else "not healthy (python -m tools.localcluster up repairs it)"
        memory = sum(process.memory_mib for process in self.processes)
        return [
            f"Kubernetes {self.kubernetes}, {state}, {memory} MiB",
            *(f"  {name:<11} {path}" for name, path in self.paths.items()),
            f"  registries  {', '.join(self.registries)}",
            *(_node_line(node) for node in self.nodes),
            *(_process_line(process) for process in self.processes),
        ]


def _node_line(node: NodeStatus) -> str:
    state = "Ready" if node.ready else "NotReady"
    extra = f"  {node.instance_type}" if node.instance_type else ""
    gpus = f"  {node.gpus} GPU" if node.gpus else ""
    return f"  node        {node.name} {state} {node.address}{extra}{gpus}"


def _process_line(process: ProcessStatus) -> str:
    state = f"pid {process.pid:<8} {process.memory_mib:>5} MiB" if process.pid else "not running"
    return f"  process     {process.name:<24} {state}"


def observe_processes(processes: Processes) -> tuple[ProcessStatus, ...]:
    """Look at every started daemon."""
    found = ((name, processes.look(name)) for name in processes.names())
    return tuple(
        ProcessStatus(name, seen[0].pid, seen[1].resident_bytes // MIB) if seen else ProcessStatus(name, 0, 0)
        for name, seen in found
    )


def observe_nodes(api: Api) -> tuple[NodeStatus, ...]:
    """Ask the API server for its nodes; none when it does not answer."""
    listed = (api.get("/api/v1/nodes") or {}) if api.healthy() else {}
    return tuple(_node_status(node) for node in listed.get("items", []))


def _node_status(node: dict[str, Any]) -> NodeStatus:
    metadata, status = node["metadata"], node.get("status", {})
    addresses = [entry["address"] for entry in status.get("addresses", []) if entry["type"] == "InternalIP"]
    return NodeStatus(
        name=metadata["name"],
        ready=is_ready(node),
        address=addresses[0] if addresses else "",
        instance_type=metadata.get("labels", {}).get(INSTANCE_TYPE_LABEL, ""),
        gpus=int(status.get("capacity", {}).get(GPU_RESOURCE, "0")),
    )
