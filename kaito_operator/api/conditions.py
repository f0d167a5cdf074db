"""Conditions: one statement each about an object, with the moment at which it last turned."""

from collections.abc import Sequence
from typing import Final, Literal

from pydantic import Field

from kaito_operator.api.meta import ApiModel, Timestamp
from kaito_operator.api.schema import limits

# The types of v0.3.0; scripts wait for these names.
MACHINE_READY: Final = "MachineReady"
NODE_CLAIM_READY: Final = "NodeClaimReady"
RESOURCE_READY: Final = "ResourceReady"
INFERENCE_READY: Final = "InferenceReady"
WORKSPACE_READY: Final = "WorkspaceReady"
WORKSPACE_DELETING: Final = "WorkspaceDeleting"

ConditionStatus = Literal["True", "False", "Unknown"]

REASON_PATTERN: Final = "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"


class Condition(ApiModel):
    """One condition, in the form of Kubernetes' metav1.Condition."""

    type: str = Field(description="What the condition is about.", json_schema_extra=limits(maxLength=316))
    status: ConditionStatus = Field(description="Whether it holds: True, False or Unknown.")
    reason: str = Field(
        description="Why, as one word for programs.",
        json_schema_extra=limits(minLength=1, maxLength=1024, pattern=REASON_PATTERN),
    )
    message: str = Field(
        description="Why, as a sentence for people, with the next action where there is one.",
        json_schema_extra=limits(maxLength=32768),
    )
    last_transition_time: Timestamp = Field(description="When status last changed.")
    observed_generation: int | None = Field(
        default=None,
        description="Generation of the Workspace that the condition was derived from.",
        json_schema_extra=limits(minimum=0),
    )


def set_condition(conditions: Sequence[Condition], new: Condition) -> list[Condition]:
    """The conditions with `new` in the place of the one of its type, or at the end.

    lastTransitionTime stays what it was unless the status changes, so equal states give equal lists.
    """
    old = find_condition(conditions, new.type)
    if old is None:
        return [*conditions, new]
    if old.status == new.status:
        new = new.model_copy(update={"last_transition_time": old.last_transition_time})
    return [new if condition.type == new.type else condition for condition in conditions]


def find_condition(conditions: Sequence[Condition], condition_type: str) -> Condition | None:
    """The condition of this type, or None while nobody has said anything about it."""
    return next((c for c in conditions if c.type == condition_type), None)
