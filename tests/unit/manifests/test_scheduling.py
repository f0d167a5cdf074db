"""Where pods may run."""

from typing import Any

import pytest

from kaito_operator.api.workspace import Workspace
from kaito_operator.manifests.scheduling import EXISTING_ONLY, TOLERATIONS, NodeSource, affinity, node_terms
from tests.support.objects import Obj, a_workspace

PRESET: Obj = {"inference": {"preset": {"name": "smollm2-135m-instruct"}}}
ADDED = NodeSource(claimed=True, existing=False)
EITHER = NodeSource(claimed=True, existing=True)
OURS = ["kaito.sh/workspace In ws", "kaito.sh/workspacenamespace In ns"]
NOT_OTHERS = "kaito.sh/workspace DoesNotExist"
TYPED, UNTYPED = "node.kubernetes.io/instance-type In T", "node.kubernetes.io/instance-type DoesNotExist"


def a_workspace_with(**resource: Any) -> Workspace:
    return Workspace.model_validate(a_workspace(resource=resource, **PRESET))


def words(terms: list[Obj]) -> list[list[str]]:
    return [
        [" ".join([e["key"], e["operator"], *e.get("values", ())]) for e in term["matchExpressions"]]
        for term in terms
    ]


LABELS = {"labelSelector": {"matchLabels": {"zone": "1", "apps": "x"}}}
MINE = ["apps In x", "zone In 1"]
TERMS: list[tuple[str, Obj, NodeSource, list[list[str]]]] = [
    ("any node", {}, EXISTING_ONLY, [["kubernetes.io/os In linux"]]),
    ("labels", LABELS, EXISTING_ONLY, [MINE]),
    ("type", {**LABELS, "instanceType": "T"}, EXISTING_ONLY, [[*MINE, TYPED], [*MINE, UNTYPED]]),
    ("added", {**LABELS, "instanceType": "T"}, ADDED, [OURS]),
    ("added, no labels", {}, ADDED, [OURS]),
    (
        "either",
        {**LABELS, "instanceType": "T"},
        EITHER,
        [OURS, [*MINE, NOT_OTHERS, TYPED], [*MINE, NOT_OTHERS, UNTYPED]],
    ),
    ("either, any type", LABELS, EITHER, [OURS, [*MINE, NOT_OTHERS]]),
]


@pytest.mark.parametrize(("resource", "source", "terms"), [r[1:] for r in TERMS], ids=[r[0] for r in TERMS])
def test_the_nodes_that_pods_may_use(resource: Obj, source: NodeSource, terms: list[list[str]]) -> None:
    found = words(node_terms(a_workspace_with(**resource), source))
    assert found == terms
    assert all(found), "an empty term would match nothing, and no term at all everything"


def test_preferred_nodes_come_first_and_are_no_must() -> None:
    both = affinity(a_workspace_with(preferredNodes=["b", "a"]), ADDED)["nodeAffinity"]
    named = [
        entry["preference"]["matchFields"][0]["values"]
        for entry in both["preferredDuringSchedulingIgnoredDuringExecution"]
    ]
    assert named == [["b"], ["a"]]
    required = both["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert words(required) == [OURS]


def test_the_taints_of_added_nodes_are_tolerated() -> None:
    assert {"key": "sku", "operator": "Equal", "value": "gpu", "effect": "NoSchedule"} in TOLERATIONS
