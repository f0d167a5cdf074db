"""The same by NodeClaim, karpenter.sh/v1: the kind that Karpenter serves too."""

import json
from collections.abc import Iterator

import pytest

from tests.cluster.provisioning.conftest import a_workspace
from tests.support.kube import Api, Obj, eventually
from tests.support.node_claims import node_claim_crd
from tests.support.operator import OperatorProcess, ProvisionerProcess
from tools.kubectl import Kubectl
from tools.simcloud import SimCloud


@pytest.fixture
def provisioning(kubectl: Kubectl) -> Iterator[str]:
    """NodeClaims, whose definition is there for so long."""
    kubectl.run("apply", "--server-side", "-f", "-", stdin=json.dumps(node_claim_crd()))
    kubectl.run("wait", "--for=condition=Established", "crd/nodeclaims.karpenter.sh", "--timeout=30s")
    yield "nodeclaim"
    kubectl.run("delete", "crd", "nodeclaims.karpenter.sh", "--ignore-not-found", "--wait=true")


@pytest.mark.usefixtures("provisioner")
def test_a_node_arrives_by_node_claim_and_goes(
    api: Api,
    namespace: str,
    cloud: SimCloud,
    operator: OperatorProcess,
    provisioner: ProvisionerProcess,
) -> None:
    def ready() -> bool:
        status: Obj = (api.find("workspaces", namespace, "ws") or {}).get("status", {})
        return any(
            c["type"] == "NodeClaimReady" and c["status"] == "True" for c in status.get("conditions", ())
        )

    api.create("workspaces", namespace, a_workspace())
    eventually(ready, timeout_s=40, what=lambda: operator.words() + provisioner.words())
    (claim,) = api.list("nodeclaims")
    assert claim["spec"]["nodeClassRef"] == {
        "group": "kaito.sh",
        "kind": "KaitoNodeClass",
        "name": "default",
    }
    assert list(cloud.pools()) == [claim["metadata"]["name"]]
    api.delete("workspaces", namespace, "ws")
    eventually(lambda: not api.list("nodeclaims") and not cloud.pools(), timeout_s=40, what=provisioner.words)
