"""The Workspace as users write it; its status is in `status.py`."""

from typing import Literal

from pydantic import Field

from kaito_operator.api import labels
from kaito_operator.api.formats import (
    ImageReference,
    InstanceType,
    NodeName,
    ObjectName,
    OptionalObjectName,
    PresetName,
    PushReference,
    Strength,
    TuningMethod,
    WebAddress,
    WeightsPath,
)
from kaito_operator.api.meta import ApiModel, LabelSelector, ObjectMeta, Opaque
from kaito_operator.api.schema import limits
from kaito_operator.api.status import (
    BlockedOn,
    PlanStatus,
    RejectedInstanceType,
    TimelineEntry,
    WorkspaceStatus,
)

__all__ = [
    "AdapterSpec",
    "BlockedOn",
    "DataDestination",
    "DataSource",
    "InferenceSpec",
    "PlanStatus",
    "PresetOptions",
    "PresetSpec",
    "RejectedInstanceType",
    "ResourceSpec",
    "ServerSpec",
    "TimelineEntry",
    "TuningSpec",
    "Workspace",
    "WorkspaceStatus",
]

AccessMode = Literal["public", "private"]
WeightsFrom = Literal["image", "volumeClaim", "hub"]


class ResourceSpec(ApiModel):
    """The nodes to run on."""

    count: int = Field(
        default=1,
        description="Number of nodes. Changing it scales the Workspace.",
        json_schema_extra=limits(minimum=1, maximum=1000),
    )
    instance_type: InstanceType | None = Field(
        default=None,
        description="Instance type (VM size) of the nodes. When left out, the cheapest that fits is chosen; "
        "where no nodes are added, any node will do.",
    )
    label_selector: LabelSelector | None = Field(
        default=None,
        description="Labels of the nodes that may be used; new nodes get them.",
    )
    preferred_nodes: list[NodeName] = Field(
        default_factory=list,
        description="Names of existing nodes to use first.",
        json_schema_extra=limits(maxItems=1000),
    )


class PresetOptions(ApiModel):
    """Where a preset's weights come from, and how they are loaded."""

    image: ImageReference | None = Field(
        default=None,
        description="Image that holds the weights, in place of the preset's own. Needed for private presets.",
    )
    image_pull_secrets: list[ObjectName] = Field(
        default_factory=list,
        description="Names of the Secrets with which the image is pulled.",
        json_schema_extra=limits(maxItems=16),
    )
    trust_remote_code: bool = Field(
        default=False,
        description="Run Python code that comes with the weights. Leave off unless you trust their author.",
    )
    model_access_secret: ObjectName | None = Field(
        default=None, description="Name of a Secret whose key HF_TOKEN holds a token for the model hub."
    )
    volume_claim: ObjectName | None = Field(
        default=None, description="Name of a PersistentVolumeClaim that holds the weights."
    )
    weights_path: WeightsPath | None = Field(
        default=None, description="Path of the weights folder inside the image or the volume."
    )
    weights_from: WeightsFrom | None = Field(
        default=None,
        description="Where the weights come from. When left out: the volume if one is named, else the image.",
    )


class PresetSpec(ApiModel):
    """A model that the operator knows how to run."""

    name: PresetName = Field(description="Name of the model.")
    access_mode: AccessMode = Field(
        default="public",
        description="private: the weights come from an image of your own, named in presetOptions.",
    )
    preset_options: PresetOptions = Field(
        default_factory=PresetOptions, description="Where the weights come from, and how they are loaded."
    )


class DataSource(ApiModel):
    """Where data is read from: exactly one of image, urls and volumeSource."""

    name: str | None = Field(
        default=None,
        description="Name of the data. For an adapter it is also the name of its folder.",
        json_schema_extra=limits(maxLength=253),
    )
    urls: list[WebAddress] = Field(
        default_factory=list,
        description="Addresses of files to download.",
        json_schema_extra=limits(maxItems=100),
    )
    volume_source: Opaque | None = Field(
        default=None,
        description="Volume that holds the data, as in a pod's volumes, without a name.",
    )
    image: ImageReference | None = Field(
        default=None, description="Image that holds the data in its folder /data."
    )
    image_pull_secrets: list[ObjectName] = Field(
        default_factory=list,
        description="Names of the Secrets with which the image is pulled.",
        json_schema_extra=limits(maxItems=16),
    )


class DataDestination(ApiModel):
    """Where a result is written to: exactly one of image and volumeSource."""

    volume_source: Opaque | None = Field(
        default=None,
        description="Volume to write the result to, as in a pod's volumes, without a name.",
    )
    image: PushReference | None = Field(
        default=None, description="Reference under which the result is pushed as an image."
    )
    image_push_secret: ObjectName | None = Field(
        default=None, description="Name of the Secret with which the image is pushed. Required with image."
    )


class AdapterSpec(ApiModel):
    """A LoRA adapter to load on top of the model."""

    source: DataSource | None = Field(
        default=None, description="Where the adapter comes from. Required; needs a name and an image."
    )
    strength: Strength | None = Field(
        default=None,
        description='How strongly the adapter acts: a number from 0 to 1 as text. "1.0" when left out.',
    )


class ServerSpec(ApiModel):
    """How a preset is served. What is left out is the server's to decide."""

    context_tokens: int | None = Field(
        default=None,
        description="Longest prompt and answer together, in tokens; memory is planned for it. "
        "When left out: as long as the model and its memory allow.",
        json_schema_extra=limits(minimum=2, maximum=1_048_576),
    )
    max_concurrent_requests: int | None = Field(
        default=None,
        description="Answers that one server generates together; further requests wait.",
        json_schema_extra=limits(minimum=1, maximum=1024),
    )
    request_timeout_seconds: int | None = Field(
        default=None,
        description="A request that takes longer is ended, its wait included.",
        json_schema_extra=limits(minimum=1, maximum=86_400),
    )
    api_keys_secret: ObjectName | None = Field(
        default=None,
        description="Name of a Secret; each of its values is a key that clients may send. "
        "When left out, everybody who reaches the Service may ask.",
    )


class InferenceSpec(ApiModel):
    """What to serve: exactly one of preset and template."""

    preset: PresetSpec | None = Field(default=None, description="A model that the operator knows how to run.")
    template: Opaque | None = Field(
        default=None,
        description="A pod template of your own, run as it is.",
    )
    adapters: list[AdapterSpec] = Field(
        default_factory=list,
        description="LoRA adapters to load on top of the preset, at most 10. They may change while it runs.",
        json_schema_extra=limits(maxItems=10),
    )
    server: ServerSpec | None = Field(
        default=None, description="How the preset is served. A change replaces the pods."
    )


class TuningSpec(ApiModel):
    """What to fine-tune, on which data, and where the result goes."""

    preset: PresetSpec | None = Field(default=None, description="The model to start from. Required.")
    method: TuningMethod | None = Field(
        default=None, description="How to tune: lora or qlora, in any case. Required."
    )
    config: OptionalObjectName | None = Field(
        default=None,
        description="Name of a ConfigMap with the key training_config.yaml. Default: that of the method.",
    )
    input: DataSource | None = Field(default=None, description="The data to tune on. Required.")
    output: DataDestination | None = Field(
        default=None, description="Where the adapter is written to. Required."
    )


class Workspace(ApiModel):
    """A model to serve or to tune: exactly one of inference and tuning.

    `Workspace.model_validate(body)` reads every object that the API server may hold.
    """

    api_version: str = labels.API_VERSION
    kind: str = labels.KIND
    metadata: ObjectMeta
    resource: ResourceSpec | None = Field(default=None, description="The nodes to run on.")
    inference: InferenceSpec | None = Field(default=None, description="What to serve.")
    tuning: TuningSpec | None = Field(default=None, description="What to fine-tune.")
    status: WorkspaceStatus | None = Field(
        default=None, description="What is, as the operator last saw it. Only the operator writes it."
    )
