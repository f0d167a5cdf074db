"""Bridges, routes, firewall rules and kernel settings: made, and taken back."""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tools.localcluster.command import run
from tools.localcluster.errors import ClusterError
from tools.localcluster.settings import BRIDGE_PREFIX, PODS, SERVICES, SINK, bridge, node_address

# What kubelet, kube-proxy and the bridge plugin set for the whole machine. The values before the
# first start are kept and put back by ``down``: panic_on_oops, for one, is unkind to a workstation.
KERNEL_SETTINGS = (
    "net.ipv4.ip_forward",
    "net.ipv4.conf.all.route_localnet",
    "net.bridge.bridge-nf-call-iptables",
    "kernel.panic",
    "kernel.panic_on_oops",
    "kernel.keys.root_maxbytes",
    "kernel.keys.root_maxkeys",
    "vm.overcommit_memory",
    "vm.panic_on_oom",
)
# Pods on one bridge reach each other through a Service only if bridged packets pass iptables:
# the reply must be translated back.
NEEDED_SETTINGS = {"net.ipv4.ip_forward": "1", "net.bridge.bridge-nf-call-iptables": "1"}


def kernel_settings() -> dict[str, str]:
    """Read the present values of KERNEL_SETTINGS; those that this kernel lacks are left out."""
    with suppress(ClusterError):  # no modprobe here
        run("modprobe", "br_netfilter", tolerate=True)  # may be built in
    found = {name: _setting(name) for name in KERNEL_SETTINGS}
    return {name: path.read_text().strip() for name, path in found.items() if path.exists()}


def apply_kernel_settings(values: Mapping[str, str]) -> None:
    """Write kernel settings that exist and differ."""
    for name, value in values.items():
        path = _setting(name)
        if path.exists() and path.read_text().strip() != value:
            path.write_text(value)


def _setting(name: str) -> Path:
    # Only the first levels are separated by dots: "bridge-nf-call-iptables" has none of its own.
    return Path("/proc/sys") / name.replace(".", "/")


def ensure_bridge(index: int) -> None:
    """Make a node's bridge with the node's address on it."""
    name = bridge(index)
    if name not in links():
        run("ip", "link", "add", name, "type", "bridge")
    run("ip", "address", "replace", f"{node_address(index)}/24", "dev", name)
    run("ip", "link", "set", name, "up")


def ensure_sink() -> None:
    """Catch packets for pod and service addresses that nobody has.

    Without it a ClusterIP that kube-proxy does not know (yet) leaves by the machine's default route.
    A bridge without ports swallows them; nodes' own /24 routes are narrower and win.
    """
    if SINK not in links():
        run("ip", "link", "add", SINK, "type", "bridge")
    run("ip", "link", "set", SINK, "up")
    for network in (SERVICES, PODS):
        run("ip", "route", "replace", str(network), "dev", SINK)


def links() -> set[str]:
    """Name the machine's network devices."""
    return {link["ifname"] for link in _ip_json("link", "show")}


def _ip_json(*query: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(run("ip", "-json", *query) or "[]")
    return found


def remove_bridge(name: str) -> None:
    """Remove a bridge and the pods' cables that are plugged into it."""
    present = links()
    if name not in present:
        return
    for port in _ip_json("link", "show", "master", name):
        run("ip", "link", "delete", port["ifname"], tolerate=True)
    run("ip", "link", "delete", name)


def remove_all() -> None:
    """Remove every device of ours (their routes go with them) and every rule of kube-proxy's."""
    for name in sorted(links()):
        if name.startswith(BRIDGE_PREFIX) or name == SINK:
            remove_bridge(name)
    for family in ("iptables", "ip6tables"):
        script = removal_script(run(f"{family}-save", tolerate=True))
        if script:
            run(f"{family}-restore", "--noflush", given=script)


def removal_script(saved: str) -> str:
    """Write the iptables-restore input that takes all Kubernetes rules out of a saved rule set.

    Args:
        saved: what iptables-save printed.

    Returns:
        For every table that holds KUBE- chains: their rules and the jumps to them deleted, then
        the chains. Empty when there is none. Rules of others are not named, so --noflush keeps them.
    """
    tables: list[str] = []
    for name, table in re.findall(r"^\*(\w+)\n(.*?)^COMMIT$", saved, re.MULTILINE | re.DOTALL):
        chains = re.findall(r"^:(KUBE-\S+)", table, re.MULTILINE)
        if chains:
            # Foreign chains keep their other rules: only their jumps to our chains are deleted.
            jumps = re.findall(r"^-A ((?!KUBE-)\S+ .*(?:-j|-g) KUBE-.*)$", table, re.MULTILINE)
            lines = [f":{chain} - [0:0]" for chain in chains]  # declaring a chain empties it
            lines += [f"-D {jump}" for jump in jumps]
            lines += [f"-X {chain}" for chain in chains]
            tables.append("\n".join([f"*{name}", *lines, "COMMIT", ""]))
    return "".join(tables)
