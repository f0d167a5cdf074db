"""Machines speak knative's style, NodeClaims operatorpkg's (reference/provisioner.md 1.1, 1.2)."""

from datetime import timedelta
from typing import Any

from kaito_operator.provisioner.conditions import (
    DONE,
    WAITING,
    Steps,
    conditions,
    failed,
    pending,
    said_the_same,
)
from tests.unit.provisioner.objects import START, a_machine, a_node_claim, at, parsed

CREATING: Steps = (pending("PoolCreating", pool="p", type="t"), WAITING, WAITING)
READY: Steps = (DONE, DONE, DONE)


def told(obj: dict[str, Any], steps: Steps, seconds: float) -> list[dict[str, Any]]:
    """The conditions after `steps` at that moment; they are stored into the object."""
    entries = conditions(parsed(obj), steps, START + timedelta(seconds=seconds))
    obj["status"] = {"conditions": entries}
    return entries


def by_type(entries: list[dict[str, Any]]) -> dict[str, tuple[str, str, str]]:
    return {e["type"]: (e["status"], e.get("reason", ""), e["lastTransitionTime"]) for e in entries}


def test_a_machine_whose_pool_is_created() -> None:
    entries = told(a_machine(), CREATING, 5)
    assert by_type(entries) == {
        "MachineInitialized": ("False", "MachineNotLaunched", at(5)),
        "MachineLaunched": ("False", "PoolCreating", at(5)),
        "MachineRegistered": ("False", "MachineNotLaunched", at(5)),
        "Ready": ("False", "PoolCreating", at(5)),
    }
    assert [e["type"] for e in entries] == sorted(e["type"] for e in entries)


def test_a_machines_ready_tells_the_cause_and_not_its_consequence() -> None:
    machine = a_machine()
    told(machine, CREATING, 5)
    entries = told(machine, (DONE, pending("NodeNotFound", pool="p"), WAITING), 60)
    assert by_type(entries)["Ready"] == ("False", "NodeNotFound", at(5))
    assert by_type(entries)["MachineLaunched"] == ("True", "", at(60))
    assert by_type(entries)["MachineInitialized"] == ("False", "MachineNotRegistered", at(5))


def test_a_machine_that_is_ready_and_then_loses_its_node() -> None:
    machine = a_machine()
    told(machine, CREATING, 5)
    assert by_type(told(machine, READY, 60))["Ready"] == ("True", "", at(60))
    lost = told(machine, (DONE, DONE, failed("NodeNotReady", node="n", detail="silent")), 100)
    assert by_type(lost)["Ready"] == ("False", "NodeNotReady", at(100))
    assert by_type(lost)["MachineRegistered"] == ("True", "", at(60))


def test_a_node_claim_whose_pool_is_created() -> None:
    entries = told(a_node_claim(), CREATING, 5)
    assert by_type(entries) == {
        "Launched": ("Unknown", "PoolCreating", at(0)),
        "Registered": ("Unknown", "AwaitingReconciliation", at(0)),
        "Initialized": ("Unknown", "AwaitingReconciliation", at(0)),
        "Ready": ("Unknown", "ReconcilingDependents", at(0)),
    }
    assert {e["observedGeneration"] for e in entries} == {1}
    assert entries[-1]["type"] == "Ready"
    assert entries[-1]["message"] == "Launched=Unknown, Registered=Unknown, Initialized=Unknown"
    assert entries[1]["message"] == "object is awaiting reconciliation"


def test_a_node_claim_that_is_ready_names_each_step_as_its_reason() -> None:
    claim = a_node_claim()
    told(claim, CREATING, 5)
    entries = told(claim, READY, 60)
    assert by_type(entries) == {
        "Launched": ("True", "Launched", at(60)),
        "Registered": ("True", "Registered", at(60)),
        "Initialized": ("True", "Initialized", at(60)),
        "Ready": ("True", "Ready", at(60)),
    }
    assert {e["message"] for e in entries} == {""}


def test_a_node_claim_that_failed_is_unhealthy() -> None:
    entries = told(a_node_claim(), (failed("AzureNoCapacity", type="t", detail="d"), WAITING, WAITING), 5)
    assert by_type(entries)["Launched"] == ("False", "AzureNoCapacity", at(5))
    assert by_type(entries)["Ready"] == ("False", "UnhealthyDependents", at(5))
    assert entries[-1]["message"] == "Launched=False, Registered=Unknown, Initialized=Unknown"


def test_conditions_are_listed_by_their_time_with_the_root_last() -> None:
    claim = a_node_claim()
    told(claim, (DONE, WAITING, WAITING), 10)
    entries = told(claim, (DONE, DONE, WAITING), 20)
    assert [e["type"] for e in entries] == ["Initialized", "Launched", "Registered", "Ready"]


def test_conditions_of_other_writers_stay() -> None:
    for obj in (a_machine(), a_node_claim()):
        drifted = {"type": "Drifted", "status": "True", "lastTransitionTime": at(1), "severity": "Warning"}
        obj["status"] = {"conditions": [drifted]}
        assert drifted in told(obj, READY, 5)


def test_saying_the_same_again_gives_the_same() -> None:
    for obj in (a_machine(), a_node_claim()):
        for steps in (CREATING, READY):
            first = told(obj, steps, 5)
            assert told(obj, steps, 500) == first
            assert said_the_same(first, list(reversed(first)))
        assert not said_the_same(told(obj, READY, 5), told(obj, CREATING, 5))


def test_a_new_generation_is_told() -> None:
    claim = a_node_claim()
    first = told(claim, READY, 5)
    claim["metadata"]["generation"] = 2
    assert not said_the_same(first, told(claim, READY, 6))
