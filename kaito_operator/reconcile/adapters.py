"""Adapters of servers that run: which the pods bring themselves, which servers are asked, what is told.

The list of adapters is in a ConfigMap and not in the pod template, so Kubernetes does not tell when a change
has arrived: the servers are asked until all of them have the present list and every adapter has come to rest.
After that nothing is asked.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from kaito_operator.api.labels import (
    ANNOTATION_ADAPTERS,
    ANNOTATION_ADAPTERS_GIVEN_UP,
    ANNOTATION_ADAPTERS_IN_POD,
)
from kaito_operator.manifests.adapters import LIVE_NAME, WantedAdapter
from kaito_operator.reconcile import pods
from kaito_operator.reconcile.decision import PodRef, PodTouch, ServerAddress
from kaito_operator.reconcile.diagnosis import IMAGE_TROUBLE
from kaito_operator.reconcile.observed import AdapterReport, Obj, Observed, ServerAdapter
from kaito_operator.reconcile.pods import ContainerState

ASK_AGAIN_S: Final = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Between two questions that got the same answer: an adapter of some MiB is loaded within two seconds."""
RETRIED_AGAIN_S: Final = 60.0
"""Once these are used up, for what the sidecar goes on trying: as often as it asks who refused it."""
UNREACHABLE_TRIES: Final = 4
"""Answers, over 15 s, after which a registry is taken for one that only the node reaches, as by a mirror."""
ASKED_AT_ONCE: Final = 32

_ON_ITS_WAY: Final = frozenset({"Pulling", "Loading"})
_ONLY_IN_POD: Final = frozenset({"Denied", "NeedsRestart"})
_UNREACHABLE: Final = "RegistryUnreachable"
_RETRIED: Final = frozenset({_UNREACHABLE, "AdapterFailed"})


@dataclass(frozen=True)
class InPod:
    """Which adapters the pods bring themselves.

    Attributes:
        names: of those that they do.
        given_up: name -> hash of the source with which a pod could not start.
    """

    names: frozenset[str] = frozenset()
    given_up: Mapping[str, str] | None = None


def decide_in_pod(wanted: Sequence[WantedAdapter], observed: Observed, workload: Obj | None) -> InPod:
    """Keep what was decided as long as the adapter is wanted; add what the servers cannot get by themselves.

    One with which a pod does not start is taken out again, so that the model is served without it.
    """
    written: Mapping[str, str] = (workload or {}).get("metadata", {}).get("annotations") or {}
    before = _json(written.get(ANNOTATION_ADAPTERS_IN_POD), list)
    hashes = _json(written.get(ANNOTATION_ADAPTERS_GIVEN_UP), dict)
    given_up = {a.name: a.source_hash for a in wanted if hashes.get(a.name) == a.source_hash}
    told = _told_to_be_in_pod(observed)
    # The live ones have their folder where one of this name would be mounted.
    able = [a for a in wanted if a.name not in given_up and a.name != LIVE_NAME]
    names = {a.name for a in able if a.name in before or (a.name, a.image) in told}
    stuck = [c for pod in observed.pods if _may_be_stuck(pod) for c in pods.containers(pod)]
    failed = {a.name: a.source_hash for a in able if a.name in names and any(_keeps_out(a, c) for c in stuck)}
    return InPod(frozenset(names - failed.keys()), given_up | failed)


def _json(text: str | None, kind: type) -> Any:  # noqa: ANN401 - JSON of an annotation
    """What an annotation holds; empty for what is not ours to read."""
    try:
        value = json.loads(text or "")
    except ValueError:
        return kind()
    return value if isinstance(value, kind) else kind()


def _told_to_be_in_pod(observed: Observed) -> frozenset[tuple[str, str]]:
    return frozenset(
        (a.name, a.image)
        for report in observed.adapter_reports.values()
        for a in report.adapters
        if a.state in _ONLY_IN_POD or _is_out_of_reach(a, report.tries)
    )


def _is_out_of_reach(adapter: ServerAdapter, tries: int) -> bool:
    """True when it was never pulled, for want of a way to the registry that lasts."""
    unreachable = adapter.state == "Failed" and adapter.reason == _UNREACHABLE
    return unreachable and not adapter.digest and tries >= UNREACHABLE_TRIES


def _may_be_stuck(pod: Obj) -> bool:
    return pods.is_staying(pod) and not pods.is_ready(pod)


def _keeps_out(adapter: WantedAdapter, container: ContainerState) -> bool:
    """True when this adapter's image is what keeps a pod from starting."""
    if container.waiting_reason in IMAGE_TROUBLE:
        # A volume's image is named in the message of every container of the pod.
        return container.image == adapter.image or adapter.image in container.waiting_message
    its_copy = container.name == adapter.label and container.image.endswith(adapter.image)
    return its_copy and container.exit_code not in (None, 0)


@dataclass(frozen=True)
class Questions:
    """Which servers are to be asked now, which pods to be touched, and when to ask again."""

    ask: tuple[ServerAddress, ...] = ()
    touch: tuple[PodTouch, ...] = ()
    again_in_s: float | None = None


def questions(
    wanted: Sequence[WantedAdapter], generation: str, ready: Iterable[Obj], observed: Observed, now: datetime
) -> Questions:
    """What is to be found out; nothing where every server has said all there is to say."""
    asks: list[ServerAddress] = []
    touches: list[PodTouch] = []
    waits: list[float] = []
    for pod in ready:
        report = fresh_report(pod, observed)
        if report and report.generation not in ("", generation) and _touched(pod) != generation:
            touches.append(PodTouch(_ref(pod), ANNOTATION_ADAPTERS, generation))
        if not wanted or not (address := str(pod["status"].get("podIP") or "")):
            continue
        wait = _wait_s(wanted, generation, report, now)
        if wait is not None and wait <= 0:
            asks.append(ServerAddress(_ref(pod), address, pods.started(pod), generation))
        elif wait is not None:
            waits.append(wait)
    return Questions(tuple(asks[:ASKED_AT_ONCE]), tuple(touches), min(waits, default=None))


def fresh_report(pod: Obj, observed: Observed) -> AdapterReport | None:
    """What the pod's server said since it started; None when it was not asked yet."""
    report = observed.adapter_reports.get(pod["metadata"]["uid"])
    return report if report and report.started == pods.started(pod) else None


def _wait_s(
    wanted: Sequence[WantedAdapter], generation: str, report: AdapterReport | None, now: datetime
) -> float | None:
    """Seconds until this server is to be asked; None when it need not be."""
    if report is None or report.asked_for != generation:
        return 0.0
    passed = (now - report.asked_at).total_seconds()
    if not settled(wanted, generation, report):
        return ASK_AGAIN_S[min(report.tries, len(ASK_AGAIN_S) - 1)] - passed
    if any(a.state == "Denied" or (a.state == "Failed" and a.reason in _RETRIED) for a in report.adapters):
        return (*ASK_AGAIN_S, RETRIED_AGAIN_S)[min(report.tries, len(ASK_AGAIN_S))] - passed
    return None


def settled(wanted: Sequence[WantedAdapter], generation: str, report: AdapterReport) -> bool:
    """True when the server has this list and does nothing more about it."""
    if report.trouble or report.generation != generation:
        return False
    states = {a.name: a.state for a in report.adapters}
    return all(a.name in states and states[a.name] not in _ON_ITS_WAY for a in wanted)


def _touched(pod: Obj) -> str:
    return str((pod["metadata"].get("annotations") or {}).get(ANNOTATION_ADAPTERS, ""))


def _ref(pod: Obj) -> PodRef:
    metadata = pod["metadata"]
    return PodRef(metadata["namespace"], metadata["name"], metadata["uid"])
