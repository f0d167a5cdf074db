"""The DaemonSet of the stand-in device plugin fits the nodes that it is made for."""

from pathlib import Path
from typing import Any

from tools import deviceplugin
from tools.deviceplugin import manifest
from tools.localcluster.kubelet import SHARED_FOLDER
from tools.localcluster.paths import Paths


def pod() -> dict[str, Any]:
    found: dict[str, Any] = manifest("registry/image:1")["spec"]["template"]["spec"]
    return found


def test_the_image_is_the_one_that_was_asked_for() -> None:
    assert [container["image"] for container in pod()["containers"]] == ["registry/image:1"]


def test_its_name_and_namespace_are_those_that_callers_use() -> None:
    metadata = manifest("i")["metadata"]
    assert (metadata["namespace"], metadata["name"]) == (deviceplugin.NAMESPACE, deviceplugin.NAME)


def test_it_runs_on_gpu_nodes_whatever_their_taints() -> None:
    assert pod()["nodeSelector"] == {"accelerator": "nvidia"}
    assert pod()["tolerations"] == [{"operator": "Exists"}]


def test_it_reads_the_file_that_a_node_writes_and_sees_the_kubelets_socket() -> None:
    written = Paths(Path("/cache")).node("n").simulated_gpus.name
    paths = {volume["name"]: volume["hostPath"]["path"] for volume in pod()["volumes"]}
    assert paths == {
        "simulated-gpus": f"{SHARED_FOLDER}/{written}",
        "device-plugins": f"{SHARED_FOLDER}/device-plugins",
    }
    mounts = {mount["name"]: mount["mountPath"] for mount in pod()["containers"][0]["volumeMounts"]}
    assert mounts == paths  # the program has the kubelet's own paths compiled in
    assert f'"{paths["simulated-gpus"]}"' in deviceplugin.MANIFEST.with_name("main.go").read_text()


def test_it_has_no_privilege_but_its_folder() -> None:
    security = pod()["containers"][0]["securityContext"]
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert not security["allowPrivilegeEscalation"]
    assert not pod()["automountServiceAccountToken"]
