"""A claim as the API server gave it, parsed once: the input of every decision."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kaito_operator.api.labels import LABEL_WORKSPACE
from kaito_operator.api.machine import (
    CLAIM_FINALIZER,
    MACHINE_API_VERSION,
    MACHINE_KIND,
    MACHINE_PLURAL,
    MACHINE_STEPS,
    NODE_CLAIM_API_VERSION,
    NODE_CLAIM_KIND,
    NODE_CLAIM_PLURAL,
    NODE_CLAIM_STEPS,
    ClaimSpec,
    ClaimStatus,
    Machine,
    NodeClaim,
    NodeClaimSpec,
)
from kaito_operator.provisioner import names

Obj = dict[str, Any]
ClaimKey = tuple[str, str]
"""(kind, name); claims are cluster-scoped."""

API_VERSIONS: Mapping[str, str] = {MACHINE_KIND: MACHINE_API_VERSION, NODE_CLAIM_KIND: NODE_CLAIM_API_VERSION}
PLURALS: Mapping[str, str] = {MACHINE_KIND: MACHINE_PLURAL, NODE_CLAIM_KIND: NODE_CLAIM_PLURAL}


@dataclass(frozen=True)
class Claim:
    """One Machine or NodeClaim.

    Attributes:
        conditions: as stored, of any server, with every key.
        launch_began: when we took it up; None before that.
        grace_s: seconds that a drain may take by the claim's own word, or None.
    """

    kind: str
    name: str
    uid: str
    resource_version: str
    generation: int
    created: datetime | None
    deleted: datetime | None
    finalizers: tuple[str, ...]
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    spec: ClaimSpec
    status: ClaimStatus
    conditions: tuple[Mapping[str, Any], ...]
    launch_began: datetime | None
    grace_s: float | None

    @property
    def key(self) -> ClaimKey:
        """Kind and name."""
        return self.kind, self.name

    @property
    def is_machine(self) -> bool:
        """A Machine, whose conditions follow other rules than a NodeClaim's."""
        return self.kind == MACHINE_KIND

    @property
    def steps(self) -> tuple[str, str, str]:
        """The condition types of launch, registration and initialization."""
        return MACHINE_STEPS if self.is_machine else NODE_CLAIM_STEPS

    @property
    def is_held(self) -> bool:
        """The claim carries the finalizer, so it cannot vanish while its pool exists."""
        return CLAIM_FINALIZER in self.finalizers

    def condition(self, step: int) -> Mapping[str, Any]:
        """The stored condition of step 0, 1 or 2; empty when there is none."""
        wanted = self.steps[step]
        return next((c for c in self.conditions if c.get("type") == wanted), {})

    def is_done(self, step: int) -> bool:
        """The stored condition of this step is True."""
        return self.condition(step).get("status") == "True"

    @property
    def was_initialized(self) -> bool:
        """The node was usable once. `allocatable` is written only then, and never taken back."""
        return bool(self.status.allocatable)


def is_managed(obj: Mapping[str, Any]) -> bool:
    """True for claims that this provisioner serves.

    Those of KAITO by label, those of our node class, and those we have taken up before: a label that is
    taken away must not orphan the pool.
    """
    metadata = obj["metadata"]
    labels = metadata.get("labels") or {}
    if LABEL_WORKSPACE in labels or names.LABEL_RAGENGINE in labels:
        return True
    if names.ANNOTATION_LAUNCH_BEGAN in (metadata.get("annotations") or {}):
        return True
    ref = (obj.get("spec") or {}).get("nodeClassRef") or {}
    return (ref.get("group"), ref.get("kind")) == (names.NODE_CLASS_GROUP, names.NODE_CLASS_KIND)


def read_claim(obj: Mapping[str, Any]) -> Claim:
    """Parse a stored object.

    Raises:
        ValidationError: the object does not have the schema of its kind.
    """
    model = (Machine if obj["kind"] == MACHINE_KIND else NodeClaim).model_validate(obj)
    metadata = model.metadata
    return Claim(
        kind=obj["kind"],
        name=metadata.name,
        uid=metadata.uid,
        resource_version=metadata.resource_version,
        generation=metadata.generation,
        created=metadata.creation_timestamp,
        deleted=metadata.deletion_timestamp,
        finalizers=tuple(metadata.finalizers),
        labels=metadata.labels,
        annotations=metadata.annotations,
        spec=model.spec,
        status=model.status,
        conditions=tuple((obj.get("status") or {}).get("conditions") or ()),
        launch_began=read_moment(metadata.annotations.get(names.ANNOTATION_LAUNCH_BEGAN)),
        grace_s=_grace(model.spec),
    )


def read_moment(text: object) -> datetime | None:
    """A time that somebody wrote; None when it is none, or has no zone."""
    try:
        moment = datetime.fromisoformat(str(text)) if text else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo else None


def _grace(spec: ClaimSpec) -> float | None:
    text = spec.termination_grace_period if isinstance(spec, NodeClaimSpec) else None
    return read_duration(text) if text else None


def read_duration(text: str) -> float:
    """Seconds of a duration such as 1h30m, in the form that NodeClaims' schema admits."""
    total, number = 0.0, ""
    for sign in text:
        if sign.isdecimal():
            number += sign
        else:
            total += float(number or 0) * {"s": 1, "m": 60, "h": 3600}.get(sign, 0)
            number = ""
    return total
