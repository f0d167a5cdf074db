"""The identities of a run: both programs sign in as their service accounts, with the rights we ship."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tools.bench.paths import CHECKOUT, NAMESPACE, PART_OF
from tools.localcluster import kubeconfig
from tools.localcluster.certificates import Authority

Json = dict[str, Any]
SHIPPED = (CHECKOUT / "deploy" / "rbac.yaml", CHECKOUT / "deploy" / "gpu-provisioner" / "rbac.yaml")
CLUSTER_WIDE = {"ClusterRole", "ClusterRoleBinding"}
SUFFIX = "-bench"
"""So that an installation of the same cluster keeps its own."""


def user_of(account: str) -> str:
    """The user name of one of the run's service accounts."""
    return f"system:serviceaccount:{NAMESPACE}:{account}"


def sign_in(authority: Authority, folder: Path, account: str) -> Path:
    """Write a kubeconfig that signs in as a service account of the run.

    A certificate stands in for the token: to the API server the user and its groups are the same, so its
    roles, its place in the queue of requests and its name in the audit log are those of the real thing.
    """
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{NAMESPACE}")
    pair = authority.ensure_pair(f"bench-{account}", user_of(account), groups)
    return kubeconfig.write(folder / f"{account}.kubeconfig", authority, pair)


def roles(manifests: str) -> Iterator[Json]:
    """Move the roles and bindings of an installation's manifests into the run's namespace.

    Args:
        manifests: YAML documents; those of other kinds are left out.
    """
    for document in yaml.safe_load_all(manifests):
        kind = document["kind"] if document else ""
        if kind not in {"Role", "RoleBinding", *CLUSTER_WIDE}:
            continue
        metadata = {"name": document["metadata"]["name"], "labels": PART_OF}
        if kind in CLUSTER_WIDE:
            metadata["name"] += SUFFIX
        else:
            metadata["namespace"] = NAMESPACE
        moved = {**document, "metadata": metadata}
        if role := document.get("roleRef"):
            suffix = SUFFIX if role["kind"] in CLUSTER_WIDE else ""
            moved["roleRef"] = {**role, "name": role["name"] + suffix}
            moved["subjects"] = [{**subject, "namespace": NAMESPACE} for subject in document["subjects"]]
        yield moved


def manifests() -> str:
    """The namespace, and the rights of both programs, for kubectl apply."""
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": NAMESPACE,
            "labels": {**PART_OF, "pod-security.kubernetes.io/enforce": "restricted"},
        },
    }
    shipped = [role for path in SHIPPED for role in roles(path.read_text())]
    return yaml.safe_dump_all([namespace, *shipped], sort_keys=False)
