"""Objects stored under v0.3.0's CRD, after ours took its place: they can be read, served, mended, deleted."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from kaito_operator.api import labels
from kaito_operator.api.conditions import Condition
from kaito_operator.api.crd import CRD_FILE
from kaito_operator.api.status import AdapterStatus
from kaito_operator.api.workspace import (
    BlockedOn,
    PlanStatus,
    RejectedInstanceType,
    TimelineEntry,
    Workspace,
    WorkspaceStatus,
)
from tests.cluster.admission import v0_3_0
from tests.cluster.admission.rows import Row, stored_rows
from tests.cluster.admission.server import (
    Server,
    Workspaces,
    in_group,
    install,
    own_group,
    uninstall,
    until,
    upgrade,
)

pytestmark = pytest.mark.cluster

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
OLD_STATUS = {
    "workerNodes": ["node-1"],
    "conditions": [
        {
            "type": "MachineReady",
            "status": "True",
            "reason": "installNodePluginsSuccess",
            "message": "machines plugins have been installed successfully",
            "lastTransitionTime": "2024-07-12T08:00:00Z",
            "observedGeneration": 1,
        }
    ],
}
STATUS = WorkspaceStatus(
    worker_nodes=["node-1"],
    conditions=[
        Condition(
            type="WorkspaceReady",
            status="False",
            reason="Blocked",
            message="It waits.",
            last_transition_time=NOW,
            observed_generation=2,
        )
    ],
    phase="Blocked",
    instance_type="Standard_NC12s_v3",
    blocked_on=BlockedOn(reason="A", message="B", next_action="C", since=NOW),
    timeline=[TimelineEntry(phase="Planning", started_at=NOW, ended_at=NOW, expected_seconds=1)],
    plan=PlanStatus(
        nodes=1,
        gpus=1,
        weights_bytes=7_600_000_000,
        kv_cache_bytes_per_token=393_216,
        memory_bytes=9_000_000_000,
        weights_from="image",
        weights_source="registry.example.com/weights:1",
        facts_source="presets",
        expected_seconds_to_ready=600,
        rejected=[RejectedInstanceType(name="Standard_NC6", reason="It is too small.")],
    ),
    observed_generation=2,
    adapters=[
        AdapterStatus(
            name="poet",
            image="r.example.com/a/poet:1",
            digest="sha256:0",
            strength="0.5",
            state="Refused",
            reason="AdapterRefused",
            message="It does not fit.",
        )
    ],
)

# These stand in the table as controls: a new object may be like them.
NOT_IN_BREACH = (
    "nothing wrong",
    "the default instance type of v0.3.0",
    "tuning by a method in capitals",
)

every_row = pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in stored_rows()])


def name_of(row: Row) -> str:
    """The object's own name where the row is about names, else one made from the row's."""
    own = str(row.manifest["metadata"]["name"])
    return row.name.replace(" ", "-").lower() if own == "row" else own


@pytest.fixture(scope="module")
def stored(admission_api: Server) -> Iterator[Workspaces]:
    """Every object of the table twice (one copy to delete), with v0.3.0's status, under our CRD by now."""
    group = own_group("upgrade")
    ours = in_group(yaml.safe_load(CRD_FILE.read_text(encoding="utf-8")), group)
    workspaces = Workspaces(admission_api, group)
    install(admission_api, v0_3_0.crd(group))
    for row in stored_rows():
        for name in (name_of(row), f"{name_of(row)}-gone"):
            manifest = workspaces.typed({**row.manifest, "metadata": {"name": name}})
            admission_api.must("POST", workspaces.path(), manifest)
            admission_api.must("PATCH", workspaces.path(name, "status"), {"status": OLD_STATUS})
    upgrade(admission_api, ours)
    empty: dict[str, Any] = workspaces.typed({"metadata": {"name": "probe"}})
    until(lambda: admission_api.ask("POST", workspaces.path(), empty).code == 422, "our CRD is in force")
    yield workspaces
    uninstall(admission_api, ours["metadata"]["name"])


@every_row
def test_the_model_reads_it(stored: Workspaces, row: Row) -> None:
    workspace = Workspace.model_validate(stored.server.must("GET", stored.path(name_of(row))))
    assert workspace.metadata.name == name_of(row)
    assert workspace.status is not None
    assert workspace.status.conditions[0].type == "MachineReady"


@pytest.mark.parametrize(
    "row", [pytest.param(row, id=row.name) for row in stored_rows() if row.name not in NOT_IN_BREACH]
)
def test_a_new_object_like_it_is_refused(stored: Workspaces, row: Row) -> None:
    manifest = {**row.manifest, "metadata": {"name": name_of(row)[:52].rstrip("-")}}
    if row.manifest["metadata"]["name"] != "row":
        manifest["metadata"] = {"name": f"{name_of(row)}-new"}
    assert stored.server.ask("POST", stored.path(), stored.typed(manifest)).code == 422


@every_row
def test_the_operator_can_write_its_status_and_nothing_of_it_is_dropped(stored: Workspaces, row: Row) -> None:
    path = stored.path(f"{name_of(row)}-gone", "status")
    written = stored.server.send("PATCH", path, {"status": STATUS.to_dict()}, fieldValidation="Strict")
    assert written.code == 200, written.message
    assert written.body["status"] == STATUS.to_dict()


@every_row
def test_labels_annotations_and_the_finalizer_can_be_set(stored: Workspaces, row: Row) -> None:
    metadata = {"labels": {"a": "b"}, "annotations": {"c": "d"}, "finalizers": [labels.FINALIZER]}
    answer = stored.server.ask("PATCH", stored.path(name_of(row)), {"metadata": metadata})
    assert answer.code == 200, answer.message


@every_row
def test_an_unrelated_change_is_accepted(stored: Workspaces, row: Row) -> None:
    change = {"resource": {"preferredNodes": ["node-2"]}}
    answer = stored.server.ask("PATCH", stored.path(name_of(row)), change)
    assert answer.code == 200, answer.message


@every_row
def test_making_it_worse_is_refused(stored: Workspaces, row: Row) -> None:
    assert row.refused is not None
    answer = stored.server.ask("PATCH", stored.path(name_of(row)), row.change)
    assert answer.code == 422, f"admitted, or failed for another reason: {answer}"
    assert row.refused in answer.message


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in stored_rows() if row.mend])
def test_it_can_be_mended(stored: Workspaces, row: Row) -> None:
    answer = stored.server.ask("PATCH", stored.path(name_of(row)), row.mend)
    assert answer.code == 200, answer.message


@every_row
def test_it_can_be_deleted_while_the_operator_holds_its_finalizer(stored: Workspaces, row: Row) -> None:
    server, name = stored.server, f"{name_of(row)}-gone"
    server.must("PATCH", stored.path(name), {"metadata": {"finalizers": [labels.FINALIZER]}})
    server.must("DELETE", stored.path(name))
    server.must("PATCH", stored.path(name, "status"), {"status": {"phase": "Deleting"}})
    server.must("PATCH", stored.path(name), {"metadata": {"finalizers": None}})
    assert server.send("GET", stored.path(name)).code == 404
