"""The CRD that is checked in, and the schema that it carries."""

from collections.abc import Iterator
from typing import Any

import pytest

from kaito_operator.api import crd
from kaito_operator.api.rules import RULES
from tests.cluster.admission.rows import create_rows, stored_rows, update_rows

Schema = dict[str, Any]

COLUMNS = [
    ("Instance", ".status.instanceType", 0),
    ("ResourceReady", '.status.conditions[?(@.type=="ResourceReady")].status', 0),
    ("InferenceReady", '.status.conditions[?(@.type=="InferenceReady")].status', 0),
    ("WorkspaceReady", '.status.conditions[?(@.type=="WorkspaceReady")].status', 0),
    ("Age", ".metadata.creationTimestamp", 0),
    ("Phase", ".status.phase", 1),
    ("Reason", ".status.blockedOn.reason", 1),
    ("Nodes", ".status.workerNodes", 1),
    ("$/h", ".status.plan.pricePerHour", 1),
]

# Every field of v0.3.0's Workspace, so that none of a user's stored data is pruned.
FIELDS_OF_V0_3_0 = [
    *("resource.count", "resource.instanceType", "resource.preferredNodes"),
    *("resource.labelSelector.matchLabels", "resource.labelSelector.matchExpressions"),
    *("inference.preset.name", "inference.preset.accessMode", "inference.template"),
    *("inference.preset.presetOptions.image", "inference.preset.presetOptions.imagePullSecrets"),
    *("inference.adapters.source.name", "inference.adapters.source.urls", "inference.adapters.strength"),
    *("inference.adapters.source.volumeSource", "inference.adapters.source.image"),
    "inference.adapters.source.imagePullSecrets",
    *("tuning.preset.name", "tuning.method", "tuning.config"),
    *("tuning.input.name", "tuning.input.urls", "tuning.input.volumeSource", "tuning.input.image"),
    *("tuning.input.imagePullSecrets", "tuning.output.volumeSource", "tuning.output.image"),
    *("tuning.output.imagePushSecret", "status.workerNodes", "status.conditions"),
]


@pytest.fixture(scope="module")
def schema() -> Schema:
    return crd.workspace_schema()


def nodes(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Every node of the schema with its dotted path; the items of a list and of a map end in []."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}".lstrip("."))
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from nodes(schema[key], f"{path}[]")


def test_the_file_that_is_checked_in_is_fresh() -> None:
    assert crd.main(["--check"]) == 0, "run `python -m kaito_operator.api.crd` and commit crds/"


def test_a_stale_file_is_noticed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(crd, "CRD_FILE", tmp_path / "crds" / "workspaces.yaml")
    assert crd.main(["--check"]) == 1
    assert crd.main([]) == 0
    assert crd.main(["--check"]) == 0
    crd.CRD_FILE.write_text(crd.CRD_FILE.read_text().replace("maximum: 1000", "maximum: 999"))
    assert crd.main(["--check"]) == 1
    assert "is stale: run `python -m kaito_operator.api.crd`" in capsys.readouterr().err


def test_making_it_twice_gives_the_same_text() -> None:
    assert crd.render(crd.workspace_crd()) == crd.render(crd.workspace_crd())


def test_the_columns_are_those_that_users_know() -> None:
    version = crd.workspace_crd()["spec"]["versions"][0]
    columns = version["additionalPrinterColumns"]
    assert [(c["name"], c["jsonPath"], c.get("priority", 0)) for c in columns] == COLUMNS


def test_names_category_and_status_subresource_are_those_of_v0_3_0() -> None:
    spec = crd.workspace_crd()["spec"]
    assert spec["names"]["shortNames"] == ["wk", "wks"]
    assert spec["names"]["categories"] == ["workspace"]
    assert spec["versions"][0]["subresources"] == {"status": {}}


def test_every_field_is_described(schema: Schema) -> None:
    # The server refuses a description of metadata; the items of a list of texts are described by the list.
    fields = [path for path, node in nodes(schema) if "description" not in node and not path.endswith("[]")]
    assert fields == ["metadata"]


def test_every_node_is_structural(schema: Schema) -> None:
    for path, node in nodes(schema):
        assert "type" in node, path
        assert not {"$ref", "anyOf", "allOf", "title"} & set(node), path
        assert node.get("default", 0) is not None, path


def test_every_text_list_and_map_of_the_spec_has_a_limit(schema: Schema) -> None:
    for path, node in nodes(schema):
        if path in ("apiVersion", "kind") or path.startswith("inference.template"):
            continue
        if node["type"] == "string" and "enum" not in node and node.get("format") != "date-time":
            assert "maxLength" in node, path
        if node["type"] == "array":
            assert "maxItems" in node, path
        if "additionalProperties" in node:
            assert "maxProperties" in node, path


def test_only_three_fields_have_a_default_and_none_below_status(schema: Schema) -> None:
    defaults = {path: node["default"] for path, node in nodes(schema) if "default" in node}
    assert defaults == {
        "resource.count": 1,
        "inference.preset.accessMode": "public",
        "inference.preset.presetOptions.trustRemoteCode": False,
        "tuning.preset.accessMode": "public",
        "tuning.preset.presetOptions.trustRemoteCode": False,
    }


def test_only_what_the_schema_of_v0_3_0_required_is_required(schema: Schema) -> None:
    # The API server does not forgive a stored object the lack of a field that became required.
    required = {
        path: node["required"]
        for path, node in nodes(schema)
        if "required" in node and not path.startswith("status")
    }
    assert required == {"inference.preset": ["name"], "tuning.preset": ["name"]}


def test_conditions_are_a_list_keyed_by_type(schema: Schema) -> None:
    conditions = schema["properties"]["status"]["properties"]["conditions"]
    assert conditions["x-kubernetes-list-type"] == "map"
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]


@pytest.mark.parametrize("path", FIELDS_OF_V0_3_0)
def test_no_field_of_v0_3_0_is_lost(schema: Schema, path: str) -> None:
    assert path in {known.replace("[]", "") for known, _ in nodes(schema)}


def test_every_message_says_what_to_write_instead(schema: Schema) -> None:
    for path, node in nodes(schema):
        for rule in node.get("x-kubernetes-validations", ()):
            assert ";" in rule["message"] or ":" in rule["message"], f"{path}: {rule['message']}"


def test_every_rule_refuses_some_row_of_the_admission_tables(schema: Schema) -> None:
    refusals = [row.refused for row in create_rows() + update_rows() + stored_rows() if row.refused]
    messages = {
        rule["message"] for _, node in nodes(schema) for rule in node.get("x-kubernetes-validations", ())
    }
    unproved = sorted(message for message in messages if not any(refused in message for refused in refusals))
    assert unproved == []


def test_every_rule_stands_at_a_path_of_the_schema(schema: Schema) -> None:
    assert set(RULES) <= {path for path, _ in nodes(schema)}
