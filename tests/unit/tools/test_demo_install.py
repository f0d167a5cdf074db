"""The kustomization that installs the operator from the checkout: images and settings filled into deploy/."""

from typing import Any

import yaml

from kaito_operator.settings import Settings
from tools.install import CHECKOUT, NAMESPACE, Images, _overlay

IMAGES = Images(
    "localhost:5000/kaito-operator:0a1b", "localhost:5000/kaito-inference:2c3d-cpu", "localhost:5000"
)
DEPLOY = CHECKOUT / "deploy"


def overlay(images: Images = IMAGES, replicas: int = 2) -> dict[str, Any]:
    return _overlay(images, replicas)


def deployed(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((DEPLOY / name).read_text())
    return content


def literals(kustomization: dict[str, Any]) -> dict[str, str]:
    (settings,) = kustomization["configMapGenerator"]
    return dict(literal.split("=", 1) for literal in settings["literals"])


def test_a_registry_with_a_port_is_not_taken_for_a_tag() -> None:
    (image,) = overlay()["images"]
    assert (image["newName"], image["newTag"]) == ("localhost:5000/kaito-operator", "0a1b")


def test_what_it_replaces_is_what_stands_in_deploy() -> None:
    deployment = deployed("deployment.yaml")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    (image,) = overlay()["images"]
    (replicas,) = overlay()["replicas"]
    (settings,) = overlay()["configMapGenerator"]
    (reference,) = container["envFrom"]
    assert image["name"] == container["image"]
    assert replicas["name"] == deployment["metadata"]["name"]
    assert settings["name"] == reference["configMapRef"]["name"]
    assert overlay()["namespace"] == NAMESPACE == deployed("namespace.yaml")["metadata"]["name"]


def test_it_builds_on_deploy() -> None:
    (resource,) = overlay()["resources"]
    assert (CHECKOUT / ".local" / "install" / resource).resolve() == DEPLOY.resolve()


def test_the_settings_are_merged_into_those_of_deploy_and_the_operator_reads_them() -> None:
    (settings,) = overlay()["configMapGenerator"]
    assert settings["behavior"] == "merge"
    read = Settings.from_environment({**literals(deployed("kustomization.yaml")), **literals(overlay())})
    assert read.runtime.runtime_image == IMAGES.runtime
    assert read.runtime.project_registry == IMAGES.project_registry


def test_the_number_of_replicas_is_set() -> None:
    assert overlay(replicas=1)["replicas"] == [{"name": "kaito-operator", "count": 1}]
