"""The pure parts of the local cluster: what is parsed, recognised and refused."""

import json
import os
import subprocess
import sys
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from tools.localcluster import ports
from tools.localcluster.audit import end_of, parse, requests
from tools.localcluster.errors import ClusterError
from tools.localcluster.find import find_cluster
from tools.localcluster.kubeconfig import current_context
from tools.localcluster.nodespec import (
    NodeSpec,
    Taint,
    free_index,
    kubelet_may_set,
    parse_labels,
    parse_taints,
)
from tools.localcluster.processes import Processes, parse_stat, stat


def test_labels_are_read_as_people_write_them() -> None:
    assert parse_labels("apps=phi-3, kaito.sh/x=,flag") == {"apps": "phi-3", "kaito.sh/x": "", "flag": ""}


def test_taints_are_read_as_people_write_them() -> None:
    assert parse_taints("sku=gpu:NoSchedule,x:NoExecute") == (
        Taint("sku", "gpu", "NoSchedule"),
        Taint("x", "", "NoExecute"),
    )


@pytest.mark.parametrize("text", ["sku=gpu", "sku=gpu:Never", ":NoSchedule"])
def test_a_taint_that_is_none_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ClusterError, match="sku=gpu:NoSchedule"):
        parse_taints(text)


@pytest.mark.parametrize("name", ["Upper", "-x", "a/b", "..", "x" * 64, ""])
def test_a_name_that_no_node_can_have_is_refused(name: str) -> None:
    with pytest.raises(ClusterError, match="no node name"):
        NodeSpec(name, 1)


def test_a_node_spec_survives_its_file() -> None:
    spec = NodeSpec("gpu-1", 3, {"a": "b"}, (Taint("sku", "gpu", "NoSchedule"),), 2)
    assert NodeSpec.from_json(spec.to_json()) == spec


def test_the_same_request_is_the_same_wherever_the_node_was_placed() -> None:
    assert NodeSpec("n", 1, {"a": "b"}).same_request(NodeSpec("n", 7, {"a": "b"}))
    assert not NodeSpec("n", 1, {"a": "b"}).same_request(NodeSpec("n", 1, {"a": "c"}))


LABELS = [
    ("kaito.sh/workspace", True),
    ("agentpool", True),
    ("node.kubernetes.io/instance-type", True),
    ("kubernetes.azure.com/cluster", True),
    ("node-role.kubernetes.io/gpu", False),
    ("other.kubernetes.io/x", False),
]


@pytest.mark.parametrize(("label", "allowed"), LABELS)
def test_a_kubelet_sets_only_the_labels_it_may(label: str, allowed: bool) -> None:
    assert kubelet_may_set(label) is allowed


def test_a_removed_nodes_place_is_taken_again() -> None:
    assert free_index([0, 2, 3]) == 1


def test_a_program_name_with_parentheses_does_not_confuse_the_kernels_line() -> None:
    fields = ["S", *["0"] * 18, "4711", "0", "10"]
    assert parse_stat(f"12 (a) b (c)) {' '.join(fields)}").started_ticks == 4711


def test_a_reused_pid_is_never_taken_for_ours(tmp_path: Path) -> None:
    records = tmp_path / "records"
    records.mkdir()
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        ours = {"pid": stranger.pid, "started_ticks": 1, "boot": "x", "program": "/bin/etcd"}
        (records / "etcd.json").write_text(json.dumps(ours))
        Processes(records, tmp_path).stop("etcd")
        assert stranger.poll() is None
    finally:
        stranger.communicate(b"\n")


def test_a_dead_process_is_nobody() -> None:
    done = subprocess.Popen(["true"])
    done.wait()
    assert stat(done.pid) is None
    assert stat(os.getpid()) is not None


TCP = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1388 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 42 1
   1: 0100007F:1389 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 43 1
"""


def test_only_listening_sockets_block_a_port() -> None:
    (listener,) = ports.parse(TCP)
    assert listener.blocks(IPv4Address("127.0.0.1"), 5000)
    assert not listener.blocks(IPv4Address("10.0.0.1"), 5000)
    assert not listener.blocks(IPv4Address("127.0.0.1"), 5001)


def an_audit_line(verb: str = "patch", **target: str) -> str:
    event = {
        "verb": verb,
        "user": {"username": "u"},
        "userAgent": "a",
        "objectRef": target,
        "responseStatus": {"code": 200},
        "stageTimestamp": "2026-01-02T03:04:05.000001Z",
    }
    return json.dumps(event) + "\n"


def test_a_status_write_is_told_from_a_write_of_the_object() -> None:
    request = parse(an_audit_line(resource="workspaces", subresource="status", name="ws"))
    assert (request.resource, request.is_write) == ("workspaces/status", True)


def test_only_whole_lines_after_the_mark_are_counted(tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    assert end_of(log) == 0
    log.write_text(an_audit_line("list"))
    mark = end_of(log)
    with log.open("a") as end:
        end.write(an_audit_line("create") + '{"verb": "hal')
    assert [request.verb for request in requests(log, mark)] == ["create"]


def test_a_kubeconfig_of_the_user_comes_before_every_cluster_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("current-context: prod\n")
    assert current_context(path) == "prod"
    cluster = find_cluster(str(path))
    assert not cluster.is_ours
    assert cluster.kubeconfig == path


def test_a_kubeconfig_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("clusters: []\n")
    with pytest.raises(ClusterError, match="current context"):
        find_cluster(str(path))
