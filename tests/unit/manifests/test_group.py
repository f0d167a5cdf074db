"""A model over several nodes: one group of pods, and where they meet."""

from dataclasses import replace
from typing import Any

from kaito_operator.api.workspace import Workspace
from kaito_operator.manifests.render import Decided, Rendered, render
from kaito_operator.manifests.scheduling import NodeSource
from kaito_operator.planner.plan import plan_workspace
from presets.catalog import load_catalog
from tests.support.objects import Obj, a_workspace
from tests.support.world import RUNTIME

PRESET: Obj = {"inference": {"preset": {"name": "smollm2-135m-instruct"}}}


def rendered(name: str = "ws", count: int = 2) -> Rendered:
    raw = a_workspace(name, resource={"count": count, "instanceType": "T"}, **PRESET)
    workspace = Workspace.model_validate(raw)
    plan = replace(plan_workspace(workspace, load_catalog(), RUNTIME), distributed=True, gpus_per_pod=4)
    return render(workspace, plan, Decided("hub", NodeSource(claimed=True, existing=False)), RUNTIME)


def objects(**more: Any) -> dict[tuple[str, str], Obj]:
    return {(o["kind"], o["metadata"]["name"]): o for o in rendered(**more).objects}


def test_a_group_is_a_stateful_set_with_two_services() -> None:
    kinds = [(o["kind"], o["metadata"]["name"]) for o in rendered().objects]
    assert kinds == [("StatefulSet", "ws"), ("Service", "ws-headless"), ("Service", "ws")]


def test_all_pods_of_a_group_start_at_once_and_are_replaced_by_us_alone() -> None:
    spec = objects()["StatefulSet", "ws"]["spec"]
    assert spec["podManagementPolicy"] == "Parallel"
    assert spec["updateStrategy"] == {"type": "OnDelete"}
    assert (spec["replicas"], spec["serviceName"]) == (2, "ws-headless")
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()


def test_the_pods_find_each_other_before_they_are_ready_and_clients_find_the_first_only() -> None:
    found = objects()
    inner, outer = found["Service", "ws-headless"]["spec"], found["Service", "ws"]["spec"]
    assert (inner["clusterIP"], inner["publishNotReadyAddresses"]) == ("None", True)
    assert "publishNotReadyAddresses" not in outer
    assert outer["selector"] == {
        "kaito.sh/workspace": "ws",
        "statefulset.kubernetes.io/pod-name": "ws-0",
    }


def test_every_pod_of_a_group_is_given_its_rank_and_the_first_pods_name() -> None:
    (server,) = objects()["StatefulSet", "ws"]["spec"]["template"]["spec"]["containers"]
    command = " ".join([*server["command"], *server.get("args", ())])
    assert "--nnodes=2" in command
    assert "--nproc-per-node=4" in command
    assert "--master-addr=ws-0.ws-headless.ns.svc" in command
    assert "--node-rank=$(POD_INDEX)" in command
    sources = {e["name"]: e.get("valueFrom") for e in server["env"]}
    field = {"fieldPath": "metadata.labels['apps.kubernetes.io/pod-index']"}
    assert sources["POD_INDEX"] == {"fieldRef": field}


def test_a_group_is_started_by_torchs_own_launcher_with_the_servers_arguments() -> None:
    (server,) = objects()["StatefulSet", "ws"]["spec"]["template"]["spec"]["containers"]
    assert server["command"][:3] == ["python3", "-m", "torch.distributed.run"]
    assert server["command"][-2:] == ["--module", "inference_server"]
    assert server["args"][:2] == ["--model", "/mnt/weights"]


def test_a_group_has_no_sidecar_and_no_list_of_adapters() -> None:
    found = objects()
    assert "ConfigMap" not in {kind for kind, _ in found}
    spec = found["StatefulSet", "ws"]["spec"]["template"]["spec"]
    (server,) = spec["containers"]
    assert "--live-adapters" not in server["args"]
    assert "adapters" not in [c["name"] for c in spec.get("initContainers", ())]


def test_every_part_of_a_group_is_asked_whether_it_is_well() -> None:
    (server,) = objects()["StatefulSet", "ws"]["spec"]["template"]["spec"]["containers"]
    paths = {probe: server[probe]["httpGet"]["path"] for probe in ("readinessProbe", "livenessProbe")}
    assert paths == {"readinessProbe": "/healthz", "livenessProbe": "/livez"}


def test_a_distributed_preset_on_one_node_is_a_server_like_any_other() -> None:
    workload = objects(count=1)["StatefulSet", "ws"]["spec"]["template"]["spec"]
    assert workload["containers"][0]["command"] == ["python3", "-m", "inference_server"]
    assert "--live-adapters" in workload["containers"][0]["args"]


def test_every_object_of_a_group_is_sealed_and_owned() -> None:
    for obj in rendered().objects:
        assert obj["metadata"]["annotations"]["kaito.sh/applied-hash"]
        assert obj["metadata"]["labels"]["kaito.sh/workspace"] == "ws"
        (owner,) = obj["metadata"]["ownerReferences"]
        assert owner["uid"] == "ws-uid"
