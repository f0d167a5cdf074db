"""Claims for nodes, and what their provisioner says of them."""

from kaito_operator.api.wording.row import Reason, blocked

ROWS: tuple[Reason, ...] = (
    # Codes from AzureThrottled on are those of api.claim_reasons.
    blocked(
        "ProvisionerMissing",
        "{kind} {claim} cannot be created: this cluster has no definition of {plural}.karpenter.sh.",
        "Install the gpu-provisioner, which brings that of Machines (docs/gpu-provisioner.md), or Karpenter, "
        "which brings that of NodeClaims, and set KAITO_PROVISIONING to the one you have. Or label a node of "
        "your own and create the Workspace with its label in resource.labelSelector.",
    ),
    blocked(
        "ClaimRefused",
        "The API server refused {kind} {claim}: {detail}",
        "Correct what the message names; the operator tries again by itself.",
    ),
    blocked(
        "ProvisionerSilent",
        "Nobody has looked at {kind} {claim} since it was created.",
        "Check that a provisioner runs: `kubectl get pods -A | grep provisioner`, and read its log.",
    ),
    blocked(
        "ClaimVanished",
        "{kind} {claim} was deleted by its provisioner or by hand before its node was ready.",
        "Read the provisioner's log and "
        "`kubectl get events -A --field-selector involvedObject.name={claim}`. "
        "The operator asks again by itself, later each time.",
    ),
    blocked(
        "ClaimFailed",
        "{kind} {claim} gets no node of type {type}. Its provisioner says: {detail}",
        "Correct what the message names: `kubectl describe {kind} {claim}`. "
        "The operator asks again by itself, later each time.",
    ),
    blocked(
        "GpuNotRegistered",
        "Node {node} is ready and offers {found} of {gpus} nvidia.com/gpu.",
        "Install NVIDIA's device plugin so that it runs on this node (it must tolerate the taint sku=gpu): "
        "`kubectl get pods -A -o wide --field-selector spec.nodeName={node}` shows what runs there.",
    ),
    blocked(
        "AzureThrottled",
        "{kind} {claim} waits: Azure asks for fewer requests. {detail}",
        "Nothing to do: the provisioner goes on when Azure allows it. Other tools that call Azure with the "
        "same subscription use up the same allowance.",
    ),
    blocked(
        "AzureUnavailable",
        "{kind} {claim} waits: Azure does not answer as it should. {detail}",
        "Nothing to do: the provisioner tries again by itself. Azure's status page tells of outages.",
    ),
    blocked(
        "AzureAuthFailed",
        "{kind} {claim} waits: Azure does not accept the provisioner's identity. {detail}",
        "Check the federated credential and the role of the provisioner's identity "
        "(docs/gpu-provisioner.md); it tries again by itself.",
    ),
    blocked(
        "AzureClusterNotFound",
        "{kind} {claim} waits: Azure does not know this cluster by the name it was given. {detail}",
        "Correct ARM_SUBSCRIPTION_ID, ARM_RESOURCE_GROUP and AZURE_CLUSTER_NAME of the gpu-provisioner.",
    ),
    blocked(
        "PoolLimitReached",
        "{kind} {claim} waits: the cluster has as many agent pools as Azure allows. {detail}",
        "Delete Workspaces or agent pools that are no longer needed; it goes on by itself.",
    ),
    blocked(
        "AzureQuotaExceeded",
        "The quota of the Azure subscription does not allow a node of type {type}: {detail}",
        "Ask Azure for more vCPUs of this family (portal: Quotas), or create the Workspace with another "
        "instance type. The operator asks again by itself, later each time.",
    ),
    blocked(
        "AzureNoCapacity",
        "Azure has no machine of type {type} to give now: {detail}",
        "Wait, or create the Workspace with another instance type or without one. "
        "The operator asks again by itself, later each time.",
    ),
    blocked(
        "AzureSkuNotAvailable",
        "Azure does not offer {type} to this subscription in this region: {detail}",
        "Create the Workspace with another instance type, or without one to have it chosen. "
        "`az vm list-skus --location REGION --size {type}` shows what is offered.",
    ),
    blocked(
        "AzureSubnetFull",
        "The subnet of the cluster's nodes has no address left: {detail}",
        "Free addresses or give the cluster a larger subnet. The operator asks again by itself.",
    ),
    blocked(
        "AzureRequestRefused",
        "Azure refused the agent pool for {kind} {claim}: {detail}",
        "Correct what the message names. The operator asks again by itself, later each time.",
    ),
    blocked(
        "PoolFailed",
        "The agent pool of {kind} {claim} failed: {detail}",
        "Correct what the message names. The operator asks again by itself, later each time.",
    ),
    blocked(
        "PoolNameTaken",
        "An agent pool that is not ours has the name {claim}: {detail}",
        "Delete that pool or leave it; the operator asks again under another name.",
    ),
    blocked(
        "PoolRemoved",
        "The agent pool of {kind} {claim} was deleted outside of this cluster.",
        "Nothing to do: the operator asks for another. Find out who deletes pools when it happens again.",
    ),
    blocked(
        "ClaimInvalid",
        "The provisioner cannot serve {kind} {claim}: {detail}",
        "Create the Workspace with what the message names corrected. "
        "The operator asks again by itself, later each time.",
    ),
    blocked(
        "LaunchTimeout",
        "The machine of {kind} {claim} did not start in time: {detail}",
        "Look at the agent pool in Azure. The operator asks again by itself, later each time.",
    ),
    blocked(
        "NodeNeverJoined",
        "The machine of {kind} {claim} runs, but its node did not join the cluster in time: {detail}",
        "Check that nodes reach the API server (network rules, DNS, custom images). "
        "The operator asks again by itself, later each time.",
    ),
    blocked(
        "NodeNotInitialized",
        "The node of {kind} {claim} joined and did not become usable in time: {detail}",
        "Look at the node: `kubectl describe node {node}`. The operator asks again by itself.",
    ),
)
