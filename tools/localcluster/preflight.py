"""What must be true of the machine before a cluster starts, said in a sentence when it is not."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Network
from pathlib import Path

from tools.localcluster.command import missing_packages, run
from tools.localcluster.errors import ClusterError
from tools.localcluster.kubelet import SHARED_FOLDER
from tools.localcluster.ports import Listener, listeners, owner
from tools.localcluster.settings import (
    API_PORT,
    BRIDGE_PREFIX,
    CONTROL_PLANE,
    CONTROLLER_MANAGER_PORT,
    DNS_PORT,
    ETCD_PEER_PORT,
    ETCD_PORT,
    KUBELET_PORT,
    LOOPBACK,
    OPEN_REGISTRY_PORT,
    PODS,
    PRIVATE_REGISTRY_PORT,
    PROXY_HEALTH_PORT,
    PROXY_METRICS_PORT,
    SCHEDULER_PORT,
    SERVICES,
    SINK,
)

REGISTRY_PORTS = (OPEN_REGISTRY_PORT, PRIVATE_REGISTRY_PORT)
CONTROL_PLANE_PORTS = (
    ETCD_PORT,
    ETCD_PEER_PORT,
    API_PORT,
    CONTROLLER_MANAGER_PORT,
    SCHEDULER_PORT,
    KUBELET_PORT,
    PROXY_HEALTH_PORT,
    PROXY_METRICS_PORT,
    DNS_PORT,
)
NEEDED_PORTS = [
    *((CONTROL_PLANE, port) for port in (*CONTROL_PLANE_PORTS, *REGISTRY_PORTS)),
    *((LOOPBACK, port) for port in REGISTRY_PORTS),
]
ANOTHER_CLUSTER = "Or use another cluster: KUBECONFIG=PATH makes every command use the one it names."


def check_platform() -> None:
    """Refuse machines on which the local cluster cannot run at all."""
    if sys.platform != "linux":
        raise ClusterError(f"The local cluster needs Linux, and this is {sys.platform}. {ANOTHER_CLUSTER}")
    if os.geteuid() != 0:
        raise ClusterError(
            "The local cluster needs root (it mounts, makes network devices and starts containers): "
            f"run the command with sudo -E. {ANOTHER_CLUSTER}"
        )


def check_machine() -> None:
    """Refuse a machine where another program has what a new cluster needs.

    To be called while no cluster of ours runs, else its own ports and routes count as taken.
    """
    problems = [*_port_problems(listeners()), *_route_problems(_routes())]
    if (SHARED_FOLDER / "config.yaml").exists():
        problems.append(
            f"This machine is a node of a Kubernetes cluster already ({SHARED_FOLDER}/config.yaml)."
        )
    if problems:
        raise ClusterError("\n".join([*problems, ANOTHER_CLUSTER]))


def _port_problems(present: Sequence[Listener]) -> list[str]:
    taken = [
        (port, listener)
        for address, port in NEEDED_PORTS
        for listener in present
        if listener.blocks(address, port)
    ]
    return [
        f"Port {port} is taken by {owner(found)}: stop it, then run the command again."
        for port, found in taken
    ]


def _routes() -> list[str]:
    return run("ip", "-4", "route", "show").splitlines()


def _route_problems(routes: Iterable[str]) -> list[str]:
    """Find routes of others into the addresses that pods and services will have."""
    problems: list[str] = []
    for route in routes:
        destination, *rest = route.split()
        ours = any(word.startswith(BRIDGE_PREFIX) or word == SINK for word in rest)
        if not destination[0].isdigit() or ours:
            continue
        if any(IPv4Network(destination, strict=False).overlaps(network) for network in (PODS, SERVICES)):
            problems.append(
                f"The machine has a route into the cluster's addresses ({route.strip()}): "
                "remove that network, then run the command again."
            )
    return problems


def ensure_packages(say: Callable[[str], None], extra: Sequence[str] = ()) -> None:
    """Install the Debian packages whose programs are missing.

    Args:
        say: told what will be installed before it happens.
        extra: more programs that the caller needs, each brought by the package of the same name.

    Raises:
        ClusterError: this is not Debian, or apt failed.
    """
    packages = [*missing_packages(), *(name for name in extra if shutil.which(name) is None)]
    if not packages:
        return
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    if not Path("/etc/debian_version").exists() or shutil.which("apt-get") is None:
        raise ClusterError(
            f"Missing on this machine: {', '.join(packages)} (names of Debian's packages). "
            f"Install them with its package manager. {ANOTHER_CLUSTER}"
        )
    check_platform()
    say(f"Installing Debian packages: {', '.join(packages)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for argv in (["apt-get", "update"], command):
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ClusterError(f"{' '.join(argv)} failed: {done.stderr.strip()[-800:]}")
    if "docker-registry" in packages and Path("/run/systemd/system").exists():
        # Its own service starts with the package and would hold port 5000 from now on.
        run("systemctl", "disable", "--now", "docker-registry", tolerate=True)
