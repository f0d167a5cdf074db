"""What stands around a Workspace whose nodes are added for it: its Machine, the agent pool, the node."""

import json
import time
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from tools.demo.cloud import FOLDER
from tools.kubectl import Kubectl

LEFT_TIMEOUT_S = 90.0
_MACHINES = "machines.karpenter.sh"


class LeftBehind(RuntimeError):  # noqa: N818 - a state rather than a fault
    """Something of a deleted Workspace did not go; the text says what."""


@dataclass(frozen=True)
class Scene:
    """What belongs to one Workspace, by name."""

    machines: tuple[str, ...]
    pools: tuple[str, ...]
    nodes: tuple[str, ...]
    pods: tuple[str, ...]

    def left(self) -> list[str]:
        """All of it, for a sentence."""
        kinds = {"Machine": self.machines, "agent pool": self.pools, "Node": self.nodes, "Pod": self.pods}
        return [f"{kind} {name}" for kind, names in kinds.items() for name in names]


def look(kubectl: Kubectl, workspace: str, namespace: str = "default") -> Scene:
    """What is there now."""
    selector = f"kaito.sh/workspace={workspace},kaito.sh/workspacenamespace={namespace}"
    machines = _names(kubectl.get(_MACHINES, "-l", selector))
    pods = kubectl.get("pods", "-n", namespace, "-l", f"kaito.sh/workspace={workspace}")["items"]
    return Scene(
        machines=machines,
        pools=tuple(_pools()),
        nodes=_names(kubectl.get("nodes", "-l", selector)),
        pods=tuple(f"{p['metadata']['name']} on {p['spec'].get('nodeName', 'no node yet')}" for p in pods),
    )


def _names(listing: dict[str, Any]) -> tuple[str, ...]:
    return tuple(item["metadata"]["name"] for item in listing["items"])


def _pools() -> list[str]:
    """The agent pools of the simulated cloud, as it keeps them."""
    state = FOLDER / "state.json"
    return sorted(p["name"] for p in json.loads(state.read_text())["pools"]) if state.exists() else []


def table(scene: Scene) -> Table:
    """One row for each thing."""
    grid = Table(show_header=False, box=None, padding=(0, 2))
    for kind, names in (
        ("Machine", scene.machines),
        ("agent pool", scene.pools),
        ("Node", scene.nodes),
        ("Pod", scene.pods),
    ):
        grid.add_row(kind, ", ".join(names) or "[dim]gone[/dim]")
    return grid


def wait_gone(kubectl: Kubectl, workspace: str, *, timeout_s: float = LEFT_TIMEOUT_S) -> float:
    """Seconds until nothing of a deleted Workspace was left.

    Raises:
        LeftBehind: after the timeout.
    """
    began = time.monotonic()
    while left := look(kubectl, workspace).left():
        if time.monotonic() - began > timeout_s:
            msg = f"{workspace} was deleted, and after {timeout_s:.0f} s there are still: {', '.join(left)}"
            raise LeftBehind(msg)
        time.sleep(0.5)
    return time.monotonic() - began
