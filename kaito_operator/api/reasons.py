"""The only place that words what a Workspace waits for.

A reason is a row: the code that goes into conditions, `status.blockedOn` and Events; the phase it
belongs to; whether a person has to act (`blocked`) or time will do; a sentence and a next action, both
with named holes. The rows stand in `api.wording`; docs/troubleshooting.md is generated from them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from kaito_operator.api.wording import adapters, claims, nodes, servers, spec, waiting
from kaito_operator.api.wording.row import Phase, Reason

__all__ = ["REASONS", "Finding", "Phase", "Reason", "finding", "worst"]

# What v0.3.0 wrote when all is well; tools that wait for these words keep working.
RESOURCE_READY_REASON = "workspaceResourceStatusSuccess"
RESOURCE_READY_MESSAGE = "workspace resource is ready"
INFERENCE_READY_REASON = "WorkspaceInferenceStatusSuccess"
INFERENCE_READY_MESSAGE = "Inference has been deployed successfully"
WORKSPACE_READY_REASON = "workspaceReady"
WORKSPACE_READY_MESSAGE = "workspace is ready"
NODES_READY_REASON = "installNodePluginsSuccess"
MACHINES_READY_MESSAGE = "machines plugins have been installed successfully"
NODE_CLAIMS_READY_MESSAGE = "nodeClaim plugins have been installed successfully"
MACHINES_PENDING_REASON = "CreateMachinePending"
NODE_CLAIMS_PENDING_REASON = "CreateNodeClaimPending"
DELETING_REASON = "workspaceDeleted"
DELETING_MESSAGE = "workspace is being deleted"


@dataclass(frozen=True)
class Finding:
    """A reason with its holes filled: what one Workspace waits for now."""

    reason: Reason
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def blocked(self) -> bool:
        """True when waiting alone will not help."""
        return self.reason.phase == "Blocked"

    @property
    def message(self) -> str:
        """The sentence, at most 1,024 characters, as conditions allow."""
        return _fill(self.reason.sentence, self.facts)[:1024]

    @property
    def next_action(self) -> str:
        """What the reader does about it."""
        return _fill(self.reason.next_action, self.facts)[:1024]


def finding(code: str, **facts: str) -> Finding:
    """The row `code` with its holes filled.

    Raises:
        KeyError: there is no such row; a unit test calls every row that the code names.
    """
    return Finding(REASONS[code], MappingProxyType(facts))


class _Facts(dict[str, str]):
    """A missing fact must not turn a status message into a traceback."""

    def __missing__(self, key: str) -> str:
        return f"<{key}>"


def _fill(template: str, facts: Mapping[str, str]) -> str:
    return template.format_map(_Facts(facts))


# In the order in which a Workspace comes to life: the earlier of two troubles is told.
_ROWS: tuple[Reason, ...] = (
    *waiting.ROWS,
    *spec.ROWS,
    *claims.ROWS,
    *nodes.ROWS,
    *servers.ROWS,
    *adapters.ROWS,
)

REASONS: Mapping[str, Reason] = MappingProxyType({row.code: row for row in _ROWS})
_ORDER: Mapping[str, int] = MappingProxyType({row.code: place for place, row in enumerate(_ROWS)})


def worst(found: Sequence[Finding]) -> Finding:
    """Of several findings the one to be told: what is blocked before what waits, earlier layers first."""
    return min(found, key=lambda f: (not f.blocked, _ORDER[f.reason.code], f.message))
