"""The small parts of a run: rights, simulated kubelets, processes."""

import os

import pytest
import yaml

from tools.bench import rights
from tools.bench.kubelets import address, running
from tools.bench.options import Options
from tools.bench.paths import NAMESPACE
from tools.bench.usage import parse, usage
from tools.localcluster.settings import PODS

INSTALLED = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: prog}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: prog}
rules: [{apiGroups: [""], resources: [nodes], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: prog}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: prog}
subjects: [{kind: ServiceAccount, name: prog, namespace: kaito-system}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: prog-lease}
rules: []
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: prog-lease}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: prog-lease}
subjects: [{kind: ServiceAccount, name: prog, namespace: kaito-system}]
"""


def test_rights_are_moved_into_the_runs_namespace_and_cluster_wide_ones_get_other_names() -> None:
    role, binding, local_role, local_binding = rights.roles(INSTALLED)
    assert [r["metadata"]["name"] for r in (role, binding)] == ["prog-bench", "prog-bench"]
    assert binding["roleRef"]["name"] == "prog-bench"
    assert local_binding["roleRef"]["name"] == local_role["metadata"]["name"] == "prog-lease"
    assert local_role["metadata"]["namespace"] == local_binding["metadata"]["namespace"] == NAMESPACE
    assert {s["namespace"] for b in (binding, local_binding) for s in b["subjects"]} == {NAMESPACE}
    assert role["rules"] == [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}]


def test_both_programs_get_the_rights_that_are_shipped() -> None:
    bound = {
        subject["name"]
        for document in yaml.safe_load_all(rights.manifests())
        if document["kind"] == "ClusterRoleBinding"
        for subject in document["subjects"]
    }
    assert bound == {"kaito-operator", "gpu-provisioner"}


def test_a_started_pod_is_ready_with_each_of_its_containers() -> None:
    pod = {
        "spec": {
            "initContainers": [{"name": "copy", "image": "c:1"}],
            "containers": [{"name": "server", "image": "s:1"}, {"name": "side", "image": "s:2"}],
        }
    }
    status = running(pod, "10.0.0.1", "2026-01-02T03:04:05Z")
    assert {c["type"]: c["status"] for c in status["conditions"]}["Ready"] == "True"
    assert [(c["name"], c["image"], c["ready"]) for c in status["containerStatuses"]] == [
        ("server", "s:1", True),
        ("side", "s:2", True),
    ]
    (copied,) = status["initContainerStatuses"]
    assert copied["state"]["terminated"]["exitCode"] == 0


def test_a_thousand_pods_get_addresses_of_their_own_that_stay_on_the_machine() -> None:
    found = [address(number) for number in range(1000)]
    assert len(set(found)) == 1000
    assert all(address.startswith(str(PODS.network_address).rsplit(".", 2)[0]) for address in found)


def test_each_workspace_names_the_instance_type_and_has_a_label_of_its_own() -> None:
    first, second = (Options(instance_type="Some_Type").workspace(number) for number in (0, 1))
    assert first["resource"]["instanceType"] == "Some_Type"
    assert first["metadata"]["name"] != second["metadata"]["name"]
    assert first["resource"]["labelSelector"] != second["resource"]["labelSelector"]


def test_usage_is_read_whatever_the_programs_name() -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    stat = f"7 (a (b) c) S 1 7 7 0 -1 4194560 1 0 0 0 {3 * ticks} {ticks} 0 0 20 0 1 0 100 0 0"
    status = "Name:\ta (b) c\nVmHWM:\t    4096 kB\nVmRSS:\t    2048 kB\nThreads:\t1\n"
    found = parse(stat, status)
    assert (found.cpu_s, found.rss_mib, found.peak_mib) == (4.0, 2.0, 4.0)


def test_this_process_uses_memory() -> None:
    assert 1 < usage(os.getpid()).rss_mib <= usage(os.getpid()).peak_mib


@pytest.mark.parametrize(("count", "bound_s"), [(1, 62.0), (100, 260.0)])
def test_every_wait_is_bounded(count: int, bound_s: float) -> None:
    assert Options(count=count).timeout_s == bound_s
