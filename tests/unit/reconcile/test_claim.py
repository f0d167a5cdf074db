"""Reading claims that other programs write."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaito_operator.api.claim_reasons import CLAIM_REASONS
from kaito_operator.reconcile.claim import read_claim
from tests.support.objects import DONE, LAUNCHED, NOW, REGISTERED, Obj, a_claim

KINDS = ["Machine", "NodeClaim"]
PROGRESS: list[tuple[Obj, Obj]] = [
    ({}, {"seen": False, "launched": False, "ready": False}),
    ({"reached": 0}, {"seen": True, "launched": False}),
    ({"reached": LAUNCHED}, {"launched": True, "ready": False, "node": ""}),
    ({"reached": REGISTERED, "node": "n"}, {"launched": True, "ready": False, "node": "n"}),
    ({"reached": DONE, "node": "n"}, {"ready": True, "broken": False, "failed": False, "reason": ""}),
    (
        {"reached": DONE, "node": "n", "broken": True, "reason": "NodeNotReady"},
        {"ready": False, "broken": True, "failed": False, "reason": "NodeNotReady", "since": NOW},
    ),
    (
        {"reached": 0, "reason": "AzureThrottled", "message": "slower"},
        {"failed": False, "reason": "AzureThrottled", "message": "slower"},
    ),
    ({"deleting": True}, {"deleting": True}),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("given_claim", "read"), PROGRESS)
def test_a_claim_is_read_by_its_steps(kind: str, given_claim: Obj, read: Obj) -> None:
    found = read_claim(a_claim(kind=kind, **given_claim))
    assert {key: getattr(found, key) for key in read} == read


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("code", sorted(CLAIM_REASONS))
def test_a_claim_has_failed_exactly_for_final_reasons(kind: str, code: str) -> None:
    row = CLAIM_REASONS[code]
    assert read_claim(a_claim(kind=kind, reached=0, reason=code, final=row.final)).failed == row.final


@pytest.mark.parametrize("kind", KINDS)
def test_a_pool_that_was_removed_later_is_a_failure_too(kind: str) -> None:
    claim = a_claim(kind=kind, reached=0, reason="PoolRemoved", final=True, node="n")
    assert read_claim(claim).failed


def test_a_final_reason_on_a_step_that_is_not_false_is_none_yet() -> None:
    assert not read_claim(a_claim(kind="NodeClaim", reached=0, reason="PoolFailed")).failed


def test_a_reason_of_another_provisioner_is_kept_and_is_not_final() -> None:
    found = read_claim(a_claim(kind="NodeClaim", reached=0, reason="LaunchFailed", message="m"))
    assert (found.failed, found.reason, found.message) == (False, "LaunchFailed", "m")


@pytest.mark.parametrize("reason", ["AwaitingReconciliation", "NotLaunched", "MachineNotRegistered"])
def test_a_step_whose_turn_has_not_come_gives_no_reason(reason: str) -> None:
    assert read_claim(a_claim(kind="NodeClaim", reached=0, reason=reason)).reason == ""


def test_the_finalizer_alone_says_that_somebody_has_seen_the_claim() -> None:
    claim = a_claim()
    claim["metadata"]["finalizers"] = ["karpenter.sh/termination"]
    assert read_claim(claim).seen


def test_the_type_is_read_from_the_requirements_and_the_age_from_the_creation() -> None:
    found = read_claim(a_claim(instance_type="X", created=-30))
    assert (found.instance_type, found.created_at) == ("X", NOW - timedelta(seconds=30))


MOMENTS: list[tuple[Any, datetime | None]] = [
    ("2026-01-02T03:04:05Z", NOW),
    ("2026-01-02T04:04:05+01:00", NOW),
    ("2026-01-02T03:04:05.000000Z", NOW),
    ("2026-01-02T03:04:05", None),
    ("yesterday", None),
    ("", None),
    (None, None),
    (5, None),
]


@pytest.mark.parametrize(("text", "moment"), MOMENTS)
def test_a_time_that_cannot_be_compared_is_none(text: Any, moment: datetime | None) -> None:
    claim = a_claim(reached=DONE, node="n", broken=True)
    for condition in claim["status"]["conditions"]:
        condition["lastTransitionTime"] = text
    assert read_claim(claim).since == moment


TEXTS = st.sampled_from(["", "Ready", "Launched", "MachineLaunched", "True", "False", "PoolFailed", "x"])
CONDITION = st.dictionaries(
    st.sampled_from(["type", "status", "reason", "message", "lastTransitionTime"]), TEXTS | st.none()
)
STATUS = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "conditions": st.none() | st.lists(CONDITION, max_size=4),
        "nodeName": st.none() | TEXTS,
    },
)
REQUIREMENT = st.fixed_dictionaries(
    {},
    optional={
        "key": st.sampled_from(["node.kubernetes.io/instance-type", "x"]),
        "values": st.none() | st.lists(TEXTS, max_size=2),
    },
)
SPEC = st.none() | st.fixed_dictionaries(
    {}, optional={"requirements": st.none() | st.lists(REQUIREMENT, max_size=2)}
)


@settings(max_examples=100, deadline=None)
@given(kind=st.sampled_from(KINDS), status=STATUS, spec=SPEC)
def test_any_claim_can_be_read(kind: str, status: Any, spec: Any) -> None:
    found = read_claim({"kind": kind, "metadata": {"name": "x"}, "status": status, "spec": spec})
    assert not (found.ready and found.failed)
