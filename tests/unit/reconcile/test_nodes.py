"""Which nodes fit, and whose child an object is."""

from typing import Any

import pytest

from kaito_operator.api.labels import ANNOTATION_APPLIED_HASH, LABEL_INSTANCE_TYPE
from kaito_operator.reconcile.nodes import is_ready, matching_nodes
from kaito_operator.reconcile.ownership import is_left_over, is_owned_by
from tests.support.objects import Obj, a_node

NODES = [
    a_node("b", labels={"apps": "x", LABEL_INSTANCE_TYPE: "T"}),
    a_node("a", labels={"apps": "x", "zone": "1", LABEL_INSTANCE_TYPE: "U"}),
    a_node("c", labels={"apps": "x", "zone": "1"}),
    a_node("d", labels={"zone": "1"}),
]
MATCHES: list[tuple[dict[str, str], str | None, list[str]]] = [
    ({}, None, ["a", "b", "c", "d"]),
    ({"apps": "x"}, None, ["a", "b", "c"]),
    ({"apps": "x", "zone": "1"}, None, ["a", "c"]),
    ({"apps": "x"}, "T", ["b", "c"]),
    ({"apps": "y"}, None, []),
]


@pytest.mark.parametrize(("labels", "instance_type", "names"), MATCHES)
def test_a_node_fits_with_all_labels_and_with_the_type_or_none(
    labels: dict[str, str], instance_type: str | None, names: list[str]
) -> None:
    found = matching_nodes(NODES, labels, instance_type)
    assert [node["metadata"]["name"] for node in found] == names


def test_a_node_that_is_being_deleted_is_not_ready() -> None:
    node = a_node()
    assert is_ready(node)
    node["metadata"]["deletionTimestamp"] = "t"
    assert not is_ready(node)


def owned_by(**reference: Any) -> Obj:
    owner = {"apiVersion": "kaito.sh/v1alpha1", "kind": "Workspace", "controller": True, **reference}
    return {"metadata": {"ownerReferences": [owner]}}


def test_only_the_controller_owns_a_child() -> None:
    assert is_owned_by(owned_by(uid="u"), "u")
    assert not is_owned_by(owned_by(uid="u", controller=False), "u")
    assert not is_owned_by(owned_by(uid="v"), "u")


def test_what_has_no_owner_is_ours_only_when_we_once_applied_it() -> None:
    assert not is_owned_by({"metadata": {}}, "u")
    assert is_owned_by({"metadata": {"annotations": {ANNOTATION_APPLIED_HASH: "h"}}}, "u")


def test_only_the_child_of_another_workspace_is_left_over() -> None:
    assert is_left_over(owned_by(uid="earlier"), "u")
    assert not is_left_over(owned_by(uid="u"), "u")
    assert not is_left_over(owned_by(uid="x", kind="Job"), "u")
    assert not is_left_over(owned_by(uid="x", apiVersion="other/v1"), "u")
