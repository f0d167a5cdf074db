"""What every pod of ours must be, for every preset and every way of the weights."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kaito_operator.api.workspace import Workspace
from kaito_operator.manifests.render import Decided, render
from kaito_operator.manifests.weights import Delivery
from kaito_operator.planner.plan import plan_workspace
from kaito_operator.settings import RuntimeSettings
from presets.catalog import load_catalog
from tests.support.objects import Obj, a_workspace

CHECKOUT = Path(__file__).parents[3]
RUNTIME = RuntimeSettings(runtime_image="reg/kaito-inference:1", project_registry="reg")
SOURCES: list[tuple[Delivery, Obj]] = [
    ("image", {"image": "reg/own:1"}),
    ("imageCopy", {"image": "reg/own:1"}),
    ("volumeClaim", {"volumeClaim": "claim", "weightsPath": "/models/x"}),
    ("hub", {"weightsFrom": "hub", "modelAccessSecret": "hf"}),
]


def pod(
    way: Delivery,
    options: Obj,
    *,
    preset: str = "smollm2-135m-instruct",
    name: str = "ws",
    in_pod: frozenset[str] = frozenset(),
    **more: Any,
) -> Obj:
    inference = {"preset": {"name": preset, "accessMode": "private", "presetOptions": options}, **more}
    workspace = Workspace.model_validate(a_workspace(name, inference=inference))
    plan = plan_workspace(workspace, load_catalog(), RUNTIME)
    (_, workload, *_) = render(workspace, plan, Decided(way, in_pod=in_pod), RUNTIME).objects
    return dict(workload["spec"]["template"]["spec"])


def containers(spec: Obj) -> Iterator[Obj]:
    yield from spec.get("initContainers", ())
    yield from spec["containers"]


@pytest.mark.parametrize("preset", sorted(load_catalog()))
@pytest.mark.parametrize(("way", "options"), SOURCES)
def test_every_pod_meets_the_restricted_pod_security_standard(
    way: Delivery, options: Obj, preset: str
) -> None:
    spec = pod(way, options, preset=preset)
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in containers(spec):
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert security["readOnlyRootFilesystem"] is True


@pytest.mark.parametrize("preset", sorted(load_catalog()))
@pytest.mark.parametrize(("way", "options"), SOURCES)
def test_every_mount_has_its_volume_and_every_name_is_used_once(
    way: Delivery, options: Obj, preset: str
) -> None:
    spec = pod(way, options, preset=preset)
    volumes = [volume["name"] for volume in spec["volumes"]]
    assert len(volumes) == len(set(volumes))
    for container in containers(spec):
        assert {mount["name"] for mount in container["volumeMounts"]} <= set(volumes)
    names = [container["name"] for container in containers(spec)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(("way", "options"), SOURCES)
def test_the_server_finds_the_weights_read_only_at_the_same_place(way: Delivery, options: Obj) -> None:
    (server,) = pod(way, options)["containers"]
    (mount,) = [m for m in server["volumeMounts"] if m["name"] == "weights"]
    assert (mount["mountPath"], mount["readOnly"]) == ("/mnt/weights", True)


@pytest.mark.parametrize(("way", "options"), SOURCES)
def test_no_tag_floats_and_no_token_of_the_api_server_is_mounted(way: Delivery, options: Obj) -> None:
    spec = pod(way, options)
    assert all(not container["image"].endswith(":latest") for container in containers(spec))
    assert spec["automountServiceAccountToken"] is False


def test_the_hubs_token_is_only_in_the_container_that_fetches() -> None:
    spec = pod("hub", {"weightsFrom": "hub", "modelAccessSecret": "hf"})
    (server,) = spec["containers"]
    assert "HF_TOKEN" not in [entry["name"] for entry in server["env"]]
    fetch, _ = spec["initContainers"]
    assert "HF_TOKEN" in [entry["name"] for entry in fetch["env"]]


def test_the_server_never_reaches_for_a_hub() -> None:
    (server,) = pod("image", {"image": "reg/own:1"})["containers"]
    assert {"name": "HF_HUB_OFFLINE", "value": "1"} in server["env"]


def test_foreign_code_runs_only_when_the_workspace_asks() -> None:
    (server,) = pod("image", {"image": "reg/own:1"})["containers"]
    assert "--trust-remote-code" not in server["args"]
    (server,) = pod("image", {"image": "reg/own:1", "trustRemoteCode": True})["containers"]
    assert "--trust-remote-code" in server["args"]


ADAPTERS = [
    {"source": {"name": "one", "image": "reg/one:1", "imagePullSecrets": ["s"]}, "strength": "0.5"},
    {"source": {"name": "two", "image": "reg/two:1"}},
]


@pytest.mark.parametrize("way", ["image", "imageCopy"])
def test_each_adapter_is_a_folder_of_its_own(way: Delivery) -> None:
    spec = pod(way, {"image": "reg/own:1"}, adapters=ADAPTERS, in_pod=frozenset({"one", "two"}))
    (server,) = spec["containers"]
    folders = {"/mnt/adapter/one", "/mnt/adapter/two", "/mnt/adapter/live"}
    for container in (server, spec["initContainers"][-1]):
        mounted = {m["mountPath"] for m in container["volumeMounts"]}
        assert {path for path in mounted if path.startswith("/mnt/adapter")} == folders
    assert spec["imagePullSecrets"] == [{"name": "s"}]
    assert server["args"][-2:] == ["--adapters", "/mnt/adapter"]
    assert "KAITO_ADAPTER_STRENGTHS" not in [entry["name"] for entry in server["env"]]


def test_adapters_are_in_the_pod_only_where_that_was_decided() -> None:
    spec = pod("imageCopy", {"image": "reg/own:1"}, adapters=ADAPTERS, in_pod=frozenset({"two"}))
    assert [c["name"] for c in spec["initContainers"]] == ["copier", "weights", "adapter-two", "adapters"]
    without = pod("imageCopy", {"image": "reg/own:1"}, adapters=ADAPTERS)
    assert [c["name"] for c in without["initContainers"]] == ["copier", "weights", "adapters"]
    assert "--adapters" not in without["containers"][0]["args"]


def test_other_adapters_and_strengths_leave_the_pod_as_it_is() -> None:
    others = [{"source": {"name": "new", "image": "reg/new:1", "imagePullSecrets": ["s"]}, "strength": "0.1"}]
    assert pod("image", {"image": "reg/own:1"}, adapters=ADAPTERS) == pod(
        "image", {"image": "reg/own:1"}, adapters=others
    )


def test_the_sidecar_runs_beside_the_server_and_shares_only_the_live_folder_with_it() -> None:
    spec = pod("image", {"image": "reg/own:1"}, adapters=ADAPTERS)
    (server,), (sidecar,) = spec["containers"], spec["initContainers"]
    assert sidecar["restartPolicy"] == "Always"
    assert sidecar["image"] == server["image"]
    names = [{m["name"] for m in container["volumeMounts"]} for container in (server, sidecar)]
    assert names[0] & names[1] == {"adapters-live"}
    live = [m for m in server["volumeMounts"] if m["name"] == "adapters-live"]
    assert live == [{"name": "adapters-live", "mountPath": "/mnt/adapter/live"}]
    assert server["args"][server["args"].index("--live-adapters") + 1] == "/mnt/adapter/live"
    command = " ".join(sidecar["command"])
    assert command == (
        "python3 -m inference_server.adapter_sync --config /etc/kaito/adapters --to /mnt/adapter "
        "--auth /etc/kaito/pull-secrets"
    )


def test_the_sidecar_is_given_the_pods_pull_secrets_and_can_do_without_them() -> None:
    spec = pod("image", {"image": "reg/own:1"}, adapters=ADAPTERS)
    (volume,) = [v for v in spec["volumes"] if v["name"] == "pull-secrets"]
    (source,) = volume["projected"]["sources"]
    assert source["secret"]["optional"] is True
    assert source["secret"]["items"] == [{"key": ".dockerconfigjson", "path": "s/.dockerconfigjson"}]
    (volume,) = [v for v in pod("image", {"image": "reg/own:1"})["volumes"] if v["name"] == "pull-secrets"]
    assert volume == {"name": "pull-secrets", "emptyDir": {}}


def test_plain_http_is_spoken_only_to_registries_that_the_installation_names() -> None:
    workspace = Workspace.model_validate(a_workspace())
    runtime = replace(RUNTIME, insecure_registries=("reg.local:5000", "b:80"))
    plan = plan_workspace(workspace, load_catalog(), runtime)
    (_, workload, *_) = render(workspace, plan, Decided("image"), runtime).objects
    (sidecar,) = workload["spec"]["template"]["spec"]["initContainers"]
    assert sidecar["command"][-4:] == ["--insecure-registry", "reg.local:5000", "--insecure-registry", "b:80"]


SERVER = {
    "contextTokens": 512,
    "maxConcurrentRequests": 8,
    "requestTimeoutSeconds": 30,
    "apiKeysSecret": "keys",
}


def flag(arguments: list[str], name: str) -> str:
    return arguments[arguments.index(name) + 1]


def test_what_the_workspace_says_of_the_server_becomes_its_flags() -> None:
    spec = pod("image", {"image": "reg/own:1"}, server=SERVER)
    (server,) = spec["containers"]
    arguments = server["args"]
    assert flag(arguments, "--workspace-name") == "ws"
    assert flag(arguments, "--max-model-len") == "512"
    assert flag(arguments, "--max-concurrency") == "8"
    assert flag(arguments, "--request-timeout") == "30"
    (mount,) = [m for m in server["volumeMounts"] if m["name"] == "api-keys"]
    assert (mount["mountPath"], mount["readOnly"]) == (flag(arguments, "--api-keys"), True)
    (volume,) = [v for v in spec["volumes"] if v["name"] == "api-keys"]
    assert volume["secret"] == {"secretName": "keys", "defaultMode": 0o440}


def test_a_server_of_which_nothing_is_said_decides_for_itself() -> None:
    (server,) = pod("image", {"image": "reg/own:1"})["containers"]
    flags = {"--max-model-len", "--max-concurrency", "--request-timeout", "--api-keys"}
    assert flags.isdisjoint(server["args"])


def test_every_flag_is_one_that_the_server_knows() -> None:
    (server,) = pod("image", {"image": "reg/own:1", "trustRemoteCode": True}, server=SERVER)["containers"]
    known = set(re.findall(r'"(--[a-z-]+)"', (CHECKOUT / "inference_server" / "options.py").read_text()))
    assert {argument for argument in server["args"] if argument.startswith("--")} <= known


def test_adapters_with_the_longest_names_get_containers_that_differ() -> None:
    names = ["a" * 62 + "1", "a" * 62 + "2"]
    adapters = [{"source": {"name": name, "image": "reg/a:1"}} for name in names]
    spec = pod("imageCopy", {"image": "reg/own:1"}, adapters=adapters, in_pod=frozenset(names))
    containers_of = [c["name"] for c in spec["initContainers"][2:-1]]
    assert len(set(containers_of)) == 2
    assert all(len(name) <= 63 for name in containers_of)


def test_a_leaving_server_has_time_to_finish_what_still_arrives() -> None:
    spec = pod("image", {"image": "reg/own:1"})
    (server,) = spec["containers"]
    leaving_s = server["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert leaving_s + 25 + 6 < spec["terminationGracePeriodSeconds"]


def test_weights_and_adapters_share_one_copier() -> None:
    spec = pod("imageCopy", {"image": "reg/own:1"}, adapters=ADAPTERS, in_pod=frozenset({"one", "two"}))
    names = [container["name"] for container in spec["initContainers"]]
    assert names == ["copier", "weights", "adapter-one", "adapter-two", "adapters"]


def test_a_cpu_model_asks_for_no_gpu_and_a_gpu_model_for_its_gpus() -> None:
    (cpu,) = pod("image", {"image": "reg/own:1"})["containers"]
    assert "limits" not in cpu["resources"]
    (gpu,) = pod("image", {"image": "reg/own:1"}, preset="falcon-40b")["containers"]
    assert gpu["resources"]["limits"] == {"nvidia.com/gpu": "2"}
    assert gpu["resources"]["requests"]["nvidia.com/gpu"] == "2"


@pytest.mark.parametrize("name", ["weights", "copier", "adapter-one", "adapters"])
def test_a_workspace_may_be_called_like_one_of_our_containers(name: str) -> None:
    brought = frozenset({"one", "two"})
    spec = pod("imageCopy", {"image": "reg/own:1"}, name=name, adapters=ADAPTERS, in_pod=brought)
    names = [container["name"] for container in containers(spec)]
    assert len(names) == len(set(names))


def test_the_servers_container_has_the_workspaces_name() -> None:
    (server,) = pod("imageCopy", {"image": "reg/own:1"}, name="mine")["containers"]
    assert server["name"] == "mine"
