"""Install operator and provisioner from this checkout: the manifests of deploy/, with images filled in."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from tools.kubectl import Kubectl
from tools.localcluster.paths import write_private

CHECKOUT = Path(__file__).resolve().parent.parent
MACHINES = CHECKOUT / "deploy" / "gpu-provisioner" / "karpenter.sh_machines.yaml"
NAMESPACE = "kaito-system"
FILES = "/var/run/cloud-access"


@dataclass(frozen=True)
class Images:
    """References with tags of what is installed.

    Attributes:
        project_registry: where the weights images of `make images` are.
    """

    operator: str
    runtime: str
    project_registry: str


@dataclass(frozen=True)
class CloudAccess:
    """How the provisioner reaches a cloud that is not Azure's public one.

    Attributes:
        settings: its environment; paths in it are those in the pod.
        files: name -> content, mounted into the pod at FILES.
    """

    settings: dict[str, str]
    files: dict[str, str]


def install(kubectl: Kubectl, images: Images, *, replicas: int = 2, provisioning: str = "none") -> None:
    """Apply the manifests and wait until the operator is ready.

    Raises:
        KubectlError: what the cluster refused, or that the operator did not become ready in 2 minutes.
    """
    overlay = CHECKOUT / ".local" / "install"
    overlay.mkdir(parents=True, exist_ok=True)
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(_overlay(images, replicas, provisioning)))
    if provisioning == "machine":
        # First: a definition that comes while the operator starts may be missed by its watches.
        kubectl.run("apply", "--server-side", "--force-conflicts", "-f", str(MACHINES))
        kubectl.run("wait", "--for=condition=Established", "crd/machines.karpenter.sh", "--timeout=30s")
    kubectl.run("apply", "--server-side", "--force-conflicts", "-k", str(overlay))
    kubectl.run(
        "rollout", "status", "deployment/kaito-operator", "-n", NAMESPACE, "--timeout=120s", timeout_s=130
    )


def install_provisioner(kubectl: Kubectl, image: str, access: CloudAccess, *, replicas: int = 2) -> None:
    """Apply the gpu-provisioner's manifests and wait until it is ready; `install` comes first.

    Raises:
        KubectlError: what the cluster refused, or that it did not become ready in 2 minutes.
    """
    overlay = CHECKOUT / ".local" / "install-provisioner"
    overlay.mkdir(parents=True, exist_ok=True)
    for name, content in access.files.items():
        write_private(overlay / name, content)
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(_provisioner_overlay(image, access, replicas)))
    kubectl.run("apply", "--server-side", "--force-conflicts", "-k", str(overlay))
    kubectl.run(
        "rollout", "status", "deployment/gpu-provisioner", "-n", NAMESPACE, "--timeout=120s", timeout_s=130
    )


def uninstall(kubectl: Kubectl) -> None:
    """Remove operator and provisioner; Workspaces, claims and their definitions stay."""
    kubectl.run("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=true")
    names = "kaito-operator", "gpu-provisioner"
    cluster_wide = [f"{kind}/{name}" for name in names for kind in ("clusterrole", "clusterrolebinding")]
    kubectl.run("delete", *cluster_wide, "--ignore-not-found")


def _provisioner_overlay(image: str, access: CloudAccess, replicas: int) -> dict[str, object]:
    name, _, tag = image.rpartition(":")
    volume = {"name": "cloud-access", "secret": {"secretName": "cloud-access", "defaultMode": 0o440}}
    mount = {"name": "cloud-access", "mountPath": FILES, "readOnly": True}
    patch = [
        {"op": "add", "path": "/spec/template/spec/volumes/-", "value": volume},
        {"op": "add", "path": "/spec/template/spec/containers/0/volumeMounts/-", "value": mount},
    ]
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": NAMESPACE,
        "resources": ["../../deploy/gpu-provisioner"],
        "images": [{"name": "kaito-operator", "newName": name, "newTag": tag}],
        "replicas": [{"name": "gpu-provisioner", "count": replicas}],
        "configMapGenerator": [
            {
                "name": "gpu-provisioner-settings",
                "behavior": "merge",
                "literals": [f"{key}={value}" for key, value in access.settings.items()],
            }
        ],
        "secretGenerator": [{"name": "cloud-access", "files": sorted(access.files)}],
        "patches": [
            {"target": {"kind": "Deployment", "name": "gpu-provisioner"}, "patch": yaml.safe_dump(patch)}
        ],
    }


def _overlay(images: Images, replicas: int, provisioning: str = "none") -> dict[str, object]:
    name, _, tag = images.operator.rpartition(":")
    settings = {
        "name": "kaito-operator-settings",
        "behavior": "merge",
        "literals": [
            f"KAITO_RUNTIME_IMAGE={images.runtime}",
            f"KAITO_PROJECT_REGISTRY={images.project_registry}",
            f"KAITO_PROVISIONING={provisioning}",
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
