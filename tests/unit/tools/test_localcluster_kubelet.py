from pathlib import Path
from typing import Any

import pytest

from tools.localcluster import kubelet
from tools.localcluster.api import Api
from tools.localcluster.certificates import Authority
from tools.localcluster.nodespec import NodeSpec, Taint
from tools.localcluster.paths import Paths


def configuration(spec: NodeSpec, tmp_path: Path) -> Any:
    authority = Authority(tmp_path / "certificates")
    authority.ensure_ca()
    api = Api(str(authority.ca), authority.ensure_pair("admin", "admin"))
    try:
        node = Paths(tmp_path).node(spec.name)
        return kubelet.Kubelet(spec, node, Path("/bin/localkube"), authority, api).configuration()
    finally:
        api.close()


def test_two_kubelets_share_neither_cgroups_nor_addresses(tmp_path: Path) -> None:
    one = configuration(NodeSpec("a", 0), tmp_path)
    two = configuration(NodeSpec("b", 1), tmp_path)
    for key in ("cgroupRoot", "address", "containerRuntimeEndpoint", "podLogsDir", "volumePluginDir"):
        assert one[key] != two[key], key


def test_a_registered_device_shows_within_seconds_and_a_quiet_node_stays_quiet(tmp_path: Path) -> None:
    config = configuration(NodeSpec("a", 0), tmp_path)
    assert (config["nodeStatusUpdateFrequency"], config["nodeStatusReportFrequency"]) == ("2s", "5m")


def test_a_node_registers_with_its_taints(tmp_path: Path) -> None:
    spec = NodeSpec("a", 1, taints=(Taint("sku", "gpu", "NoSchedule"),))
    wanted = [{"key": "sku", "value": "gpu", "effect": "NoSchedule"}]
    assert configuration(spec, tmp_path)["registerWithTaints"] == wanted


def test_the_kubelet_answers_nobody_without_a_name(tmp_path: Path) -> None:
    config = configuration(NodeSpec("a", 0), tmp_path)
    assert config["authentication"]["anonymous"] == {"enabled": False}
    assert config["authorization"] == {"mode": "Webhook"}


@pytest.mark.parametrize(
    ("node", "ready"),
    [
        (None, False),
        ({}, False),
        ({"status": {"conditions": [{"type": "Ready", "status": "True"}]}}, True),
        ({"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}, False),
        ({"status": {"conditions": [{"type": "DiskPressure", "status": "True"}]}}, False),
    ],
)
def test_a_node_is_ready_when_its_condition_says_so(node: dict[str, object] | None, ready: bool) -> None:
    assert kubelet.is_ready(node) is ready
