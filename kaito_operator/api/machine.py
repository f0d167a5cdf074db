"""Claims for a node, as far as we write and read them: Machine (v1alpha5) and NodeClaim (v1) of Karpenter.

Both are cluster-scoped and are served by a provisioner: ours, the gpu-provisioner for Azure, or Karpenter.
"""

from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field

from kaito_operator.api.meta import ApiModel, ObjectMeta, Timestamp

KARPENTER_GROUP: Final = "karpenter.sh"
MACHINE_API_VERSION: Final = f"{KARPENTER_GROUP}/v1alpha5"
MACHINE_KIND: Final = "Machine"
MACHINE_PLURAL: Final = "machines"
NODE_CLAIM_API_VERSION: Final = f"{KARPENTER_GROUP}/v1"
NODE_CLAIM_KIND: Final = "NodeClaim"
NODE_CLAIM_PLURAL: Final = "nodeclaims"
CLAIM_FINALIZER: Final = "karpenter.sh/termination"

CLAIM_READY: Final = "Ready"
MACHINE_STEPS: Final = ("MachineLaunched", "MachineRegistered", "MachineInitialized")
NODE_CLAIM_STEPS: Final = ("Launched", "Registered", "Initialized")

Quantities = dict[str, Annotated[str, BeforeValidator(str)]]
"""Resource name -> Kubernetes quantity as text; the API server also keeps plain numbers."""


class Taint(ApiModel):
    """A taint that the node is to carry."""

    key: str
    effect: str
    value: str = ""


class Requirement(ApiModel):
    """A label that the node must have, and the values that will do."""

    key: str
    operator: str
    values: list[str] = Field(default_factory=list)
    min_values: int | None = None


class ClaimResources(ApiModel):
    """What the node must offer; `storage` is the size of its disk."""

    requests: Quantities = Field(default_factory=dict)


class MachineTemplateRef(ApiModel):
    """Names a template; KAITO gives a Machine its own name here, and its provisioner reads nothing."""

    name: str


class NodeClassRef(ApiModel):
    """The node class, which selects the provisioner that serves the claim."""

    group: str
    kind: str
    name: str


class ClaimSpec(ApiModel):
    """What both kinds say about the node."""

    requirements: list[Requirement] = Field(default_factory=list)
    resources: ClaimResources = Field(default_factory=ClaimResources)
    taints: list[Taint] = Field(default_factory=list)
    startup_taints: list[Taint] = Field(default_factory=list)


class MachineSpec(ClaimSpec):
    """The node that is asked for; it may be edited."""

    machine_template_ref: MachineTemplateRef | None = None


class NodeClaimSpec(ClaimSpec):
    """The node that is asked for; the API server refuses every edit."""

    node_class_ref: NodeClassRef | None = None
    expire_after: str | None = Field(default=None, description="Such as Never; Karpenter's default is 720h.")
    termination_grace_period: str | None = Field(
        default=None, description="How long a drain may take, as 1h30m."
    )


class ClaimCondition(ApiModel):
    """A condition of a claim; Machines' come without the guarantees of metav1.Condition."""

    type: str
    status: str = "Unknown"
    reason: str = ""
    message: str = ""
    last_transition_time: Timestamp | None = None


class ClaimStatus(ApiModel):
    """What the provisioner has reached so far."""

    node_name: str = ""
    provider_id: str = Field(default="", alias="providerID")
    capacity: Quantities = Field(default_factory=dict)
    allocatable: Quantities = Field(default_factory=dict)
    conditions: list[ClaimCondition] = Field(default_factory=list)


class _Claim(ApiModel):
    metadata: ObjectMeta
    status: ClaimStatus = Field(default_factory=ClaimStatus)

    def to_manifest(self) -> dict[str, Any]:
        """The object to apply: without its status, and without what is empty."""
        body = self.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"status"})
        return {**self.model_dump(by_alias=True, include={"api_version", "kind"}), **body}


class Machine(_Claim):
    """A claim for one node, karpenter.sh/v1alpha5."""

    api_version: str = MACHINE_API_VERSION
    kind: str = MACHINE_KIND
    spec: MachineSpec = Field(default_factory=MachineSpec)


class NodeClaim(_Claim):
    """A claim for one node, karpenter.sh/v1."""

    api_version: str = NODE_CLAIM_API_VERSION
    kind: str = NODE_CLAIM_KIND
    spec: NodeClaimSpec = Field(default_factory=NodeClaimSpec)
