"""What all objects share: the base model, timestamps, metadata, label selectors."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator
from pydantic.alias_generators import to_camel

from kaito_operator.api.formats import LabelKey, LabelValue
from kaito_operator.api.schema import PRESERVE_UNKNOWN, limits


class ApiModel(BaseModel):
    """A piece of an API object: snake_case here, camelCase in JSON, unknown fields ignored, never changed.

    A key whose value is null is read as absent, as the API server does.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: object) -> object:
        if isinstance(data, Mapping):
            return {key: value for key, value in data.items() if value is not None}
        return data

    def to_dict(self) -> dict[str, Any]:
        """The piece as JSON data with camelCase keys; what is None is left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


_EPOCH: Final = datetime.fromtimestamp(0, UTC)


def _read_timestamp(value: object) -> object:
    """RFC 3339 text to a moment in UTC; the epoch when Python cannot tell it.

    Anyone who may write a status could store a date that Python does not know (a leap second, the year 0).
    Failing here would stop the reconciliation of that object for ever.
    """
    if value is None or isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        return _EPOCH  # the API server admits an empty list where a date-time belongs
    try:
        read = datetime.fromisoformat(value)
        return read.astimezone(UTC) if read.tzinfo else read.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return _EPOCH


def format_timestamp(moment: datetime) -> str:
    """The moment as Kubernetes writes it: UTC, whole seconds, with Z."""
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


Timestamp = Annotated[datetime, BeforeValidator(_read_timestamp), PlainSerializer(format_timestamp)]
"""An aware datetime; in JSON RFC 3339 in UTC with whole seconds."""


def _read_opaque(value: object) -> object:
    """v0.3.0's CRD said nothing about these fields, so a stored one may be a number or a list."""
    return value if isinstance(value, Mapping) else {}


Opaque = Annotated[dict[str, Any], BeforeValidator(_read_opaque), Field(json_schema_extra=PRESERVE_UNKNOWN)]
"""An object that we pass on without knowing its fields; what is no object is read as an empty one."""


class OwnerReference(ApiModel):
    """The object that this one is deleted with."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool = False
    block_owner_deletion: bool = False


class ObjectMeta(ApiModel):
    """Metadata that the API server keeps, as far as we read it."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    finalizers: list[str] = Field(default_factory=list)
    owner_references: list[OwnerReference] = Field(default_factory=list)
    creation_timestamp: Timestamp | None = None
    deletion_timestamp: Timestamp | None = None


class LabelSelectorRequirement(ApiModel):
    """One expression over one label; only `In` with a single value is admitted."""

    key: LabelKey = Field(default="", description="Label key that the expression applies to.")
    operator: str = Field(
        default="",
        description="How the key relates to the values. Only In is allowed.",
        json_schema_extra=limits(maxLength=16),
    )
    values: list[LabelValue] = Field(
        default_factory=list,
        description="The value to match; exactly one.",
        json_schema_extra=limits(maxItems=16),
    )


class LabelSelector(ApiModel):
    """Which nodes may be used, by their labels."""

    match_labels: dict[str, LabelValue] = Field(
        default_factory=dict,
        description="Labels that a node must carry, each with this value.",
        json_schema_extra=limits(maxProperties=32),
    )
    match_expressions: list[LabelSelectorRequirement] = Field(
        default_factory=list,
        description="The same as expressions; each must be In with exactly one value.",
        json_schema_extra=limits(maxItems=32),
    )

    def as_labels(self) -> dict[str, str]:
        """The selector as label -> value.

        Expressions other than `In` with one value are left out: they can only come from objects stored
        before the CRD refused them, and v0.3.0 ignored all expressions.
        """
        single = {
            e.key: e.values[0] for e in self.match_expressions if e.operator == "In" and len(e.values) == 1
        }
        return {**single, **self.match_labels}
