"""Install the operator from this checkout into a cluster: the manifests of deploy/, with images filled in."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from tools.kubectl import Kubectl

CHECKOUT = Path(__file__).resolve().parent.parent
NAMESPACE = "kaito-system"


@dataclass(frozen=True)
class Images:
    """References with tags of what is installed.

    Attributes:
        project_registry: where the weights images of `make images` are.
    """

    operator: str
    runtime: str
    project_registry: str


def install(kubectl: Kubectl, images: Images, *, replicas: int = 2) -> None:
    """Apply the manifests and wait until the operator is ready.

    Raises:
        KubectlError: what the cluster refused, or that the operator did not become ready in 2 minutes.
    """
    overlay = CHECKOUT / ".local" / "install"
    overlay.mkdir(parents=True, exist_ok=True)
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(_overlay(images, replicas)))
    kubectl.run("apply", "--server-side", "--force-conflicts", "-k", str(overlay))
    kubectl.run(
        "rollout", "status", "deployment/kaito-operator", "-n", NAMESPACE, "--timeout=120s", timeout_s=130
    )


def uninstall(kubectl: Kubectl) -> None:
    """Remove the operator; Workspaces and their definition stay."""
    kubectl.run("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=true")
    cluster_wide = "clusterrole/kaito-operator", "clusterrolebinding/kaito-operator"
    kubectl.run("delete", *cluster_wide, "--ignore-not-found")


def _overlay(images: Images, replicas: int) -> dict[str, object]:
    name, _, tag = images.operator.rpartition(":")
    settings = {
        "name": "kaito-operator-settings",
        "behavior": "merge",
        "literals": [
            f"KAITO_RUNTIME_IMAGE={images.runtime}",
            f"KAITO_PROJECT_REGISTRY={images.project_registry}",
        ],
    }
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": NAMESPACE,
        "resources": ["../../deploy"],
        "images": [{"name": "kaito-operator", "newName": name, "newTag": tag}],
        "replicas": [{"name": "kaito-operator", "count": replicas}],
        "configMapGenerator": [settings],
    }
