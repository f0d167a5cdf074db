"""Hints for the CRD that a pydantic field carries without changing what the model accepts.

Models must read every stored object, so a limit is never a pydantic constraint: it is enforced by the API
server on writes, and only travels here beside the field that it belongs to.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from pydantic.config import JsonDict, JsonValue

PRESERVE_UNKNOWN: Final[JsonDict] = {"x-kubernetes-preserve-unknown-fields": True}
"""Marks an object whose fields we pass on without knowing them."""

RuleReason = Literal["FieldValueInvalid", "FieldValueForbidden", "FieldValueRequired"]


@dataclass(frozen=True)
class Rule:
    """A CEL rule of one schema node.

    rule: the expression; `self` is the node's value, `oldSelf` the stored one.
    message: what is wrong; what to write instead.
    reason: the kind of error, which decides the words that the API server puts before the message
        (FieldValueDuplicate is no choice: with it the server shows no message at all).
    field: the child that the error points at, such as ".image"; None points at the node itself.
    optional_old_self: `oldSelf` is an optional, and the rule is also checked when an object is created.
        Without it, a rule that names oldSelf is checked on updates only, and a rule that does not is
        skipped by the API server while it finds the node unchanged.
    """

    rule: str
    message: str
    reason: RuleReason = "FieldValueInvalid"
    field: str | None = None
    optional_old_self: bool = False

    def to_json(self) -> JsonDict:
        """The rule as an entry of x-kubernetes-validations."""
        entry: JsonDict = {"rule": self.rule, "message": self.message, "reason": self.reason}
        if self.field is not None:
            entry["fieldPath"] = self.field
        if self.optional_old_self:
            entry["optionalOldSelf"] = True
        return entry


def tolerant(
    condition: Callable[[str], str],
    message: str,
    *,
    reason: RuleReason = "FieldValueInvalid",
    field: str | None = None,
) -> Rule:
    """The rule that `condition` holds, except for an object that was stored in breach of it.

    condition: gives the CEL expression about the value that it is named, such as "self".

    Needed where the API server would not skip a rule by itself: at the root, which every write of the status
    changes, and on a node with a field of unknown content below it, which it never finds unchanged.
    """
    stored = condition("oldSelf.value()")
    rule = f"({condition('self')}) || (oldSelf.hasValue() && !({stored}))"
    return Rule(rule, message, reason, field, optional_old_self=True)


def limits(*rules: Rule, **keywords: str | int) -> JsonDict:
    """OpenAPI keywords and CEL rules of one node, for a field's `json_schema_extra`."""
    hints: JsonDict = dict(keywords)
    if rules:
        validations: list[JsonValue] = [rule.to_json() for rule in rules]
        hints["x-kubernetes-validations"] = validations
    return hints


RECREATE: Final = "put the old value back, or delete the Workspace and create it again"
"""What to do instead of changing an immutable field."""


def value(of: str, path: str, default: str) -> str:
    """CEL: the field at `path` below `of`, or `default` where it or a parent is absent.

    Optional steps (`self.?a.orValue('')`) would be shorter, but the API server cannot bound the cost of what
    they give, and refuses to compare two of them.
    """
    steps = path.split(".")
    present = " && ".join(f"has({of}.{'.'.join(steps[: n + 1])})" for n in range(len(steps)))
    return f"({present} ? {of}.{path} : {default})"


def unchanged(path: str, default: str) -> str:
    """CEL: the field at `path` is as stored, where absent is the same as `default`.

    So setting it, unsetting it and removing one of its parents all count as changes.
    """
    return f"{value('self', path, default)} == {value('oldSelf', path, default)}"
