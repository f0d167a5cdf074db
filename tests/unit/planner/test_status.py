"""The plan as the status tells it: short lists, decimal text, and nothing where nothing is known."""

from kaito_operator.api.workspace import Workspace
from kaito_operator.planner.plan import Plan, plan_workspace
from kaito_operator.planner.status import plan_status
from kaito_operator.settings import RuntimeSettings
from presets.catalog import load_catalog

CATALOG = load_catalog()
RUNTIME = RuntimeSettings("registry.example/kaito-inference:1", provisioning="machine")


def planned(name: str, **resource: object) -> Plan:
    body = {"metadata": {}, "resource": resource, "inference": {"preset": {"name": name}}}
    return plan_workspace(Workspace.model_validate(body), CATALOG, RUNTIME)


def test_the_status_tells_of_price_split_disk_and_time() -> None:
    status = plan_status(planned("falcon-40b", instanceType="Standard_NC96ads_A100_v4", count=2), "image")
    assert (status.nodes, status.gpus, status.tensor_parallel, status.pipeline_parallel) == (2, 2, 1, 2)
    assert status.price_per_hour == "29.384"
    assert status.price_source == "eastus, 2026-06-18"
    assert status.weights_from == "image"
    assert status.disk_bytes == planned("falcon-40b").disk_bytes
    assert status.expected_seconds_to_ready == planned("falcon-40b").timing.ready_s


def test_the_alternatives_are_the_five_next_ones_without_the_one_that_is_taken() -> None:
    plan = planned("phi-2")
    assert plan.places is not None
    alternatives = plan_status(plan).alternatives
    assert [a.name for a in alternatives] == [fit.instance_type for fit in plan.places.fitting[1:6]]
    assert plan.instance_type not in [a.name for a in alternatives]


def test_at_most_eight_rejected_types_are_told_the_nearest_first() -> None:
    plan = planned("qwen2.5-72b-instruct")
    assert plan.places is not None
    rejected = plan_status(plan).rejected
    assert len(rejected) == 8
    assert [r.name for r in rejected] == [r.instance_type for r in plan.places.rejected[:8]]


def test_a_price_of_many_nodes_is_written_without_an_exponent() -> None:
    many = plan_status(planned("phi-2", instanceType="Standard_NV18ads_A10_v5", count=1000))
    assert many.price_per_hour == "1600.0"


def test_a_type_without_a_price_has_none_in_the_status() -> None:
    status = plan_status(planned("phi-2", instanceType="g5.xlarge"))
    assert (status.price_per_hour, status.price_source) == (None, None)


def test_nothing_is_told_of_what_is_not_known() -> None:
    told = plan_status(planned("phi-5", instanceType="Standard_of_tomorrow")).to_dict()
    assert told.keys() == {"nodes", "gpus", "expectedSecondsToReady", "alternatives", "warnings", "rejected"}
    assert told["alternatives"] == told["rejected"] == []
