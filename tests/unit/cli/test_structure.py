"""What a manifest's structure is refused for: each fault with the path of its field and what to write."""

from typing import Any

import pytest

from kaito_operator.cli.structure import workspace_faults

GOOD: dict[str, Any] = {
    "apiVersion": "kaito.sh/v1alpha1",
    "kind": "Workspace",
    "metadata": {"name": "w", "anything": {"goes": [1]}},
    "resource": {
        "count": 2,
        "instanceType": "Standard_NC4as_T4_v3",
        "labelSelector": {"matchLabels": {"apps": "phi-2"}},
        "preferredNodes": ["node-1"],
    },
    "inference": {"preset": {"name": "phi-2", "presetOptions": {"trustRemoteCode": False}}},
}


def told(**parts: object) -> list[str]:
    return [str(fault) for fault in workspace_faults({**GOOD, **parts})]


def test_a_good_manifest_has_no_fault() -> None:
    assert told() == []


def test_a_null_is_read_as_absent() -> None:
    assert told(resource=None, tuning=None) == []


def test_fields_of_unknown_content_are_left_alone() -> None:
    template = {"spec": {"containers": [{"name": "c", "anything": {"x": 1}}], "other": []}, "more": 1}
    assert told(inference={"template": template}) == []


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"resource": {"counts": 1}}, "resource.counts: there is no such field; did you mean count?"),
    ({"spec": {}}, "spec: there is no such field; these are: apiVersion, kind, "),
    ({"inference": {"preset": {}}}, "inference.preset.name: is missing"),
    ({"resource": {"count": "two"}}, "resource.count: 'two' is not a whole number"),
    ({"resource": {"count": True}}, "resource.count: True is not a whole number"),
    ({"resource": {"count": 1.5}}, "resource.count: 1.5 is not a whole number"),
    ({"resource": {"count": 0}}, "resource.count: 0 is too small; write at least 1"),
    ({"resource": {"count": 1001}}, "resource.count: 1001 is too large; write at most 1000"),
    ({"resource": []}, "resource: a list is not a mapping"),
    ({"resource": {"preferredNodes": "node-1"}}, "resource.preferredNodes: 'node-1' is not a list"),
    ({"resource": {"preferredNodes": [1]}}, "resource.preferredNodes[0]: 1 is not a text"),
    (
        {"resource": {"instanceType": "a b"}},
        "resource.instanceType: 'a b': This is not the name of an instance",
    ),
    ({"resource": {"instanceType": "a" * 64}}, "resource.instanceType: has 64 characters; at most 63 are"),
    (
        {"resource": {"labelSelector": {"matchLabels": {"a": "b c"}}}},
        "resource.labelSelector.matchLabels.a: 'b c': This is not a label value",
    ),
    (
        {"inference": {"preset": {"name": "phi-2", "accessMode": "secret"}}},
        "inference.preset.accessMode: 'secret' is none of public, private",
    ),
    (
        {"inference": {"preset": {"name": "phi-2"}, "adapters": [{}] * 11}},
        "inference.adapters: has 11 items; at most 10 are allowed",
    ),
]


@pytest.mark.parametrize(("parts", "start"), WRONG, ids=[row[1].split(":")[0] for row in WRONG])
def test_a_fault_is_told_with_its_path_and_cause(parts: dict[str, Any], start: str) -> None:
    (fault,) = told(**parts)
    assert fault.startswith(start)


def test_all_faults_are_told_at_once() -> None:
    assert len(told(resource={"count": 0, "instanceType": "a b"}, inference={"preset": {"nam": "x"}})) == 4


def test_a_rule_that_needs_a_cluster_or_another_pattern_language_is_left_to_the_api_server() -> None:
    assert told(inference=None, tuning={"method": "LoRA"}) == []
