"""What is told of the adapters: one entry for each, the worst of what the servers say, and Events.

An adapter never keeps the model from answering, so none of this is a finding of the Workspace: its
conditions, phase and blockedOn tell of the model alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from kaito_operator.api.meta import ObjectMeta
from kaito_operator.api.reasons import REASONS, Finding, finding
from kaito_operator.api.status import AdapterStatus
from kaito_operator.manifests.adapters import WantedAdapter
from kaito_operator.reconcile.adapters import InPod, fresh_report
from kaito_operator.reconcile.decision import EventDraft
from kaito_operator.reconcile.observed import AdapterReport, Obj, Observed, ServerAdapter

_WORST_FIRST: Final = (
    "Refused",
    "Failed",
    "Denied",
    "NeedsRestart",
    "Unknown",
    "Pulling",
    "Loading",
    "NotMergeable",
    "Loaded",
)
_CODES: Final[Mapping[str, str]] = {
    "Refused": "AdapterRefused",
    "Denied": "AdapterDenied",
    "NeedsRestart": "AdapterNeedsRestart",
    "Unknown": "AdapterUnanswered",
    "Pulling": "AdapterLoading",
    "Loading": "AdapterLoading",
    "NotMergeable": "AdapterNotMergeable",
}
_SETTLED_WELL: Final = frozenset({"Loaded", "NotMergeable"})
_OF_THE_SIDECAR: Final = frozenset({"AdapterImageNotFound", "AdapterImageBad", "AdapterTooLarge"})
MOST_TOLD: Final = 64
"""As in the CRD; v0.3.0 stored any number."""


@dataclass(frozen=True)
class Scene:
    """What the entries are made from.

    Attributes:
        told: the entries of the present status, by name.
        ready: pods of the present template that answer.
        rolling: pods of an earlier template, or pods that leave, answer beside them.
    """

    owner: ObjectMeta
    in_pod: InPod
    generation: str
    told: Mapping[str, AdapterStatus]
    ready: Sequence[Obj]
    rolling: bool
    observed: Observed


def adapter_statuses(wanted: Sequence[WantedAdapter], scene: Scene) -> tuple[AdapterStatus, ...]:
    """One entry for each adapter that is wanted."""
    return tuple(_entry(adapter, scene) for adapter in wanted[:MOST_TOLD])


def _entry(adapter: WantedAdapter, scene: Scene) -> AdapterStatus:
    said = _worst_said(adapter, scene)
    told = scene.told.get(adapter.name)
    given_up = adapter.name in (scene.in_pod.given_up or {})
    if said is None and adapter.name in scene.in_pod.names:
        return _put(adapter, scene, "NeedsRestart", "the pods that bring it are starting.")
    if said is None and given_up:
        return _put(adapter, scene, "Denied", "a pod with it did not start.")
    if said is None:
        same = told and (told.image, told.strength) == (adapter.image, f"{adapter.strength:g}")
        return told if told and same else _put(adapter, scene, "Pending", "")
    if said.state == "Denied" and not given_up and adapter.name in scene.in_pod.names:
        return _put(adapter, scene, "NeedsRestart", said.message, said)
    if scene.rolling and adapter.name in scene.in_pod.names and said.state in _SETTLED_WELL:
        # A question may still go to a pod that was made without it.
        return _put(adapter, scene, "NeedsRestart", "the pods without it are leaving.", said)
    return _put(adapter, scene, said.state, said.message, said)


def _worst_said(adapter: WantedAdapter, scene: Scene) -> ServerAdapter | None:
    """What the servers with the present list say of this adapter; None when none has it yet."""
    reports = [r for pod in scene.ready if (r := fresh_report(pod, scene.observed)) is not None]
    found = [a for r in reports if (a := _said(adapter, scene.generation, r)) is not None]
    return min(found, key=lambda a: (_WORST_FIRST.index(a.state), a.message), default=None)


def _said(adapter: WantedAdapter, generation: str, report: AdapterReport) -> ServerAdapter | None:
    if report.trouble:
        return ServerAdapter(adapter.name, adapter.image, "", "Unknown", "", report.trouble)
    if report.generation != generation:
        return None
    return next((a for a in report.adapters if a.name == adapter.name and a.state in _WORST_FIRST), None)


def _put(
    adapter: WantedAdapter, scene: Scene, state: str, detail: str, said: ServerAdapter | None = None
) -> AdapterStatus:
    reason, message = None, detail or None
    if found := _finding(adapter, scene.owner, state, detail, said.reason if said else ""):
        reason, message = found.reason.code, f"{found.message.rstrip(' .:')}. {found.next_action}"
    return AdapterStatus(
        name=adapter.name,
        image=adapter.image,
        digest=(said.digest if said else "")[:256],
        strength=f"{adapter.strength:g}",
        state=state,
        reason=reason,
        message=message[:2048] if message else None,
    )


def _finding(
    adapter: WantedAdapter, owner: ObjectMeta, state: str, detail: str, reason: str
) -> Finding | None:
    """The row of what is wrong with it; None where nothing is."""
    if state == "Loaded":
        return None
    code = _CODES.get(state, "AdapterLoading")
    if state == "Failed":
        code = reason if reason in _OF_THE_SIDECAR else "AdapterFailed"
    if code == "AdapterLoading" and not reason:
        detail = ""  # how far it is would be another status each second
    return finding(
        code,
        name=adapter.name,
        image=adapter.image,
        detail=detail,
        workspace=owner.name,
        namespace=owner.namespace,
    )


def adapter_events(old: Sequence[AdapterStatus], new: Sequence[AdapterStatus]) -> tuple[EventDraft, ...]:
    """One Event for each adapter whose reason has changed; none for one that is merely on its way."""
    before = {a.name: (a.image, a.reason, a.state) for a in old}
    changed = [a for a in new if before.get(a.name) != (a.image, a.reason, a.state)]
    return tuple(event for a in changed if (event := _event(a, known=a.name in before)) is not None)


def _event(adapter: AdapterStatus, *, known: bool) -> EventDraft | None:
    if adapter.reason is None:
        said = f"Adapter {adapter.name} is loaded. {adapter.message or ''}".strip()
        return EventDraft("Normal", "AdapterLoaded", said[:1024]) if known else None
    row = REASONS.get(adapter.reason)
    if row is None or row.code in ("AdapterLoading", "AdapterUnanswered"):
        return None
    said = (adapter.message or "")[:1024]
    return EventDraft("Warning" if row.phase == "Blocked" else "Normal", row.code, said)
