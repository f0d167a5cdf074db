"""What the operator says about a Workspace. Only the operator writes it."""

from typing import Annotated

from pydantic import Field

from kaito_operator.api.conditions import Condition
from kaito_operator.api.formats import NodeName
from kaito_operator.api.meta import ApiModel, Timestamp
from kaito_operator.api.schema import limits


class BlockedOn(ApiModel):
    """The one thing that the Workspace waits for now."""

    reason: str = Field(
        description="What it is, as one word for programs.", json_schema_extra=limits(maxLength=128)
    )
    message: str = Field(description="What it is, as a sentence.", json_schema_extra=limits(maxLength=4096))
    next_action: str = Field(
        default="",
        description="What the user can do about it; empty when waiting is enough.",
        json_schema_extra=limits(maxLength=4096),
    )
    since: Timestamp = Field(description="When this wait began.")


class TimelineEntry(ApiModel):
    """How long one phase took, against what was expected."""

    phase: str = Field(description="Name of the phase.", json_schema_extra=limits(maxLength=64))
    started_at: Timestamp = Field(description="When the phase began.")
    ended_at: Timestamp | None = Field(default=None, description="When it ended; absent while it lasts.")
    expected_seconds: int | None = Field(
        default=None,
        description="How long the plan expects it to take, in seconds; absent when unknown.",
        json_schema_extra=limits(minimum=0),
    )


class RejectedInstanceType(ApiModel):
    """An instance type that the planner looked at and did not choose."""

    name: str = Field(description="Name of the instance type.", json_schema_extra=limits(maxLength=63))
    reason: str = Field(description="Why it was not chosen.", json_schema_extra=limits(maxLength=1024))


class AlternativeInstanceType(ApiModel):
    """An instance type that would do as well."""

    name: str = Field(description="Name of the instance type.", json_schema_extra=limits(maxLength=63))
    nodes: int = Field(description="Number of nodes of it.", json_schema_extra=limits(minimum=0))
    price_per_hour: str | None = Field(
        default=None,
        description="US dollars for all of them, as decimal text; absent when no price is known.",
        json_schema_extra=limits(maxLength=32),
    )


class PlanStatus(ApiModel):
    """What the planner worked out, in bytes, GPUs and seconds. A number that is not known is absent."""

    nodes: int | None = Field(
        default=None, description="Number of nodes that the plan uses.", json_schema_extra=limits(minimum=0)
    )
    gpus: int | None = Field(
        default=None,
        description="GPUs of one replica; 0 when the model runs on the CPU.",
        json_schema_extra=limits(minimum=0),
    )
    tensor_parallel: int | None = Field(
        default=None,
        description="Parts that every matrix of the model is cut into, one on each GPU of a group.",
        json_schema_extra=limits(minimum=0),
    )
    pipeline_parallel: int | None = Field(
        default=None,
        description="GPUs that whole layers of the model are dealt out to.",
        json_schema_extra=limits(minimum=0),
    )
    weights_bytes: int | None = Field(
        default=None,
        description="Size of the model's weights in memory.",
        json_schema_extra=limits(minimum=0),
    )
    kv_cache_bytes_per_token: int | None = Field(
        default=None,
        description="Memory that one token of context takes in the key-value cache.",
        json_schema_extra=limits(minimum=0),
    )
    memory_bytes: int | None = Field(
        default=None,
        description="Memory that one replica needs in all, on its GPUs or on the CPU.",
        json_schema_extra=limits(minimum=0),
    )
    disk_bytes: int | None = Field(
        default=None,
        description="Disk that one node needs for its system, images, and every copy of the weights.",
        json_schema_extra=limits(minimum=0),
    )
    weights_from: str | None = Field(
        default=None,
        description="Where the weights come from: image, imageCopy, volumeClaim or hub.",
        json_schema_extra=limits(maxLength=32),
    )
    weights_source: str | None = Field(
        default=None,
        description="The image reference, claim, or repository and revision that holds the weights.",
        json_schema_extra=limits(maxLength=1024),
    )
    facts_source: str | None = Field(
        default=None,
        description="Where the facts about the model were read.",
        json_schema_extra=limits(maxLength=1024),
    )
    expected_seconds_to_ready: int | None = Field(
        default=None,
        description="Seconds from creation to the first answer, as the plan expects.",
        json_schema_extra=limits(minimum=0),
    )
    price_per_hour: str | None = Field(
        default=None,
        description="US dollars for all nodes, as decimal text; absent when no price is known.",
        json_schema_extra=limits(maxLength=32),
    )
    price_source: str | None = Field(
        default=None,
        description="Region and day of the price, which is before tax and discounts.",
        json_schema_extra=limits(maxLength=128),
    )
    alternatives: list[AlternativeInstanceType] = Field(
        default_factory=list,
        description="Instance types that would do as well, cheapest first.",
        json_schema_extra=limits(maxItems=5),
    )
    warnings: list[Annotated[str, Field(json_schema_extra=limits(maxLength=1024))]] = Field(
        default_factory=list,
        description="What the user should know, though it keeps nothing from being served.",
        json_schema_extra=limits(maxItems=8),
    )
    rejected: list[RejectedInstanceType] = Field(
        default_factory=list,
        description="Instance types that were not chosen, nearest first.",
        json_schema_extra=limits(maxItems=32),
    )


class ClaimRecord(ApiModel):
    """One node that is asked for. The claim's name follows from it, so it is stored before the claim is made.

    Without that a repeated creation could buy a second machine.
    """

    ordinal: int = Field(description="Which of the nodes, from 0.", json_schema_extra=limits(minimum=0))
    attempt: int = Field(
        default=0, description="How many claims were made for it before.", json_schema_extra=limits(minimum=0)
    )
    name: str = Field(
        description="Name of the Machine or NodeClaim.", json_schema_extra=limits(maxLength=253)
    )
    instance_type: str = Field(
        description="Instance type that it asks for.", json_schema_extra=limits(maxLength=63)
    )
    failures: int = Field(
        default=0,
        description="How many claims in a row got no node.",
        json_schema_extra=limits(minimum=0),
    )
    reason: str | None = Field(
        default=None, description="Why the last one got no node.", json_schema_extra=limits(maxLength=128)
    )
    message: str | None = Field(
        default=None,
        description="The same in its provisioner's words.",
        json_schema_extra=limits(maxLength=1024),
    )
    retry_at: Timestamp | None = Field(default=None, description="The next claim is not made before.")


class AdapterStatus(ApiModel):
    """One adapter, as the servers of this Workspace last told it."""

    name: str = Field(description="Name of the adapter.", json_schema_extra=limits(maxLength=253))
    image: str = Field(
        default="", description="Image that is wanted.", json_schema_extra=limits(maxLength=512)
    )
    digest: str = Field(
        default="",
        description="What the image's reference stood for when it was pulled; empty until it is.",
        json_schema_extra=limits(maxLength=256),
    )
    strength: str = Field(
        default="1.0", description="How strongly it acts.", json_schema_extra=limits(maxLength=64)
    )
    state: str = Field(
        description="Pending, Pulling, Loading, Loaded, NotMergeable, NeedsRestart, Denied, Failed, Refused "
        "or Unknown.",
        json_schema_extra=limits(maxLength=32),
    )
    reason: str | None = Field(
        default=None,
        description="Why it is not Loaded, as one word for programs.",
        json_schema_extra=limits(maxLength=128),
    )
    message: str | None = Field(
        default=None,
        description="The same as a sentence, and what to do about it.",
        json_schema_extra=limits(maxLength=2048),
    )


class WorkspaceStatus(ApiModel):
    """What is, as the operator last saw it."""

    worker_nodes: list[NodeName] = Field(
        default_factory=list,
        description="Names of the nodes that the Workspace runs on, sorted.",
        json_schema_extra=limits(maxItems=1000),
    )
    conditions: list[Condition] = Field(
        default_factory=list,
        description="One entry per condition type; WorkspaceReady sums them up.",
        json_schema_extra={
            "maxItems": 32,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        },
    )
    phase: str | None = Field(
        default=None,
        description="What the operator is doing now, in one word.",
        json_schema_extra=limits(maxLength=64),
    )
    instance_type: str | None = Field(
        default=None,
        description="Instance type of the nodes: what was asked for, or what the planner chose.",
        json_schema_extra=limits(maxLength=63),
    )
    blocked_on: BlockedOn | None = Field(
        default=None, description="What the Workspace waits for; absent when it waits for nothing."
    )
    timeline: list[TimelineEntry] = Field(
        default_factory=list,
        description="The phases since creation or the last change, oldest first.",
        json_schema_extra=limits(maxItems=64),
    )
    plan: PlanStatus | None = Field(default=None, description="What the planner worked out.")
    claims: list[ClaimRecord] = Field(
        default_factory=list,
        description="The nodes that are asked for.",
        json_schema_extra=limits(maxItems=1001),
    )
    adapters: list[AdapterStatus] = Field(
        default_factory=list,
        description="The adapters that are wanted, and how far each is.",
        json_schema_extra={
            "maxItems": 64,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
        },
    )
    observed_generation: int | None = Field(
        default=None,
        description="Generation of the Workspace that this status was derived from.",
        json_schema_extra=limits(minimum=0),
    )
