import pytest

from tools.localcluster.errors import ClusterError
from tools.localcluster.nodespec import (
    NodeSpec,
    Taint,
    free_index,
    kubelet_may_set,
    parse_labels,
    parse_taints,
)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("", {}),
        ("a=b", {"a": "b"}),
        ("a=b,kaito.sh/workspace=w, c = d", {"a": "b", "kaito.sh/workspace": "w", "c": "d"}),
        ("role=", {"role": ""}),
        ("role", {"role": ""}),
        ("url=a=b", {"url": "a=b"}),
    ],
)
def test_labels_are_read_as_pairs(text: str, labels: dict[str, str]) -> None:
    assert parse_labels(text) == labels


def test_a_label_without_a_key_is_refused() -> None:
    with pytest.raises(ClusterError, match="no key"):
        parse_labels("a=b,=c")


@pytest.mark.parametrize(
    ("text", "taints"),
    [
        ("", ()),
        ("sku=gpu:NoSchedule", (Taint("sku", "gpu", "NoSchedule"),)),
        (
            "a:NoExecute,b=c:PreferNoSchedule",
            (Taint("a", "", "NoExecute"), Taint("b", "c", "PreferNoSchedule")),
        ),
    ],
)
def test_taints_are_read_with_and_without_a_value(text: str, taints: tuple[Taint, ...]) -> None:
    assert parse_taints(text) == taints


@pytest.mark.parametrize("text", ["sku=gpu", "sku=gpu:Never", ":NoSchedule", "=x:NoSchedule"])
def test_a_malformed_taint_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ClusterError, match="sku=gpu:NoSchedule"):
        parse_taints(text)


@pytest.mark.parametrize("name", ["", "Upper", "a_b", "-a", "a-", "../x", "a/b", "a" * 64])
def test_a_name_that_no_node_may_have_is_refused(name: str) -> None:
    with pytest.raises(ClusterError, match="no node name"):
        NodeSpec(name, 1)


@pytest.mark.parametrize(("pretended", "pluggable"), [(-1, 0), (0, -1)])
def test_a_negative_number_of_gpus_is_refused(pretended: int, pluggable: int) -> None:
    with pytest.raises(ClusterError, match="0 or more"):
        NodeSpec("n", 1, gpus=pretended, pluggable_gpus=pluggable)


def test_pretended_and_pluggable_gpus_exclude_each_other() -> None:
    with pytest.raises(ClusterError, match="not both"):
        NodeSpec("n", 1, gpus=1, pluggable_gpus=1)


def test_a_record_from_before_pluggable_gpus_is_read() -> None:
    assert NodeSpec.from_json('{"name": "n", "index": 1, "labels": {}, "taints": [], "gpus": 2}') == NodeSpec(
        "n", 1, gpus=2
    )


@pytest.mark.parametrize(
    ("label", "allowed"),
    [
        ("agentpool", True),
        ("kaito.sh/workspace", True),
        ("kubernetes.azure.com/accelerator", True),
        ("node.kubernetes.io/instance-type", True),
        ("topology.kubernetes.io/zone", True),
        ("node-role.kubernetes.io/agent", False),
        ("kubernetes.io/anything", False),
        ("x.k8s.io/y", False),
        ("notk8s.io/y", True),
        ("k8s.io.example.com/y", True),
    ],
)
def test_labels_of_kubernetes_itself_are_left_to_the_administrator(label: str, allowed: bool) -> None:
    assert kubelet_may_set(label) is allowed


def test_every_label_is_set_by_exactly_one_side() -> None:
    labels = {"agentpool": "p", "node-role.kubernetes.io/agent": ""}
    spec = NodeSpec("n", 1, labels)
    assert spec.kubelet_labels() == {"agentpool": "p"}
    assert spec.administrator_labels() == {"node-role.kubernetes.io/agent": ""}


def test_a_spec_survives_its_file() -> None:
    spec = NodeSpec("n", 3, {"a": "b"}, (Taint("k", "v", "NoSchedule"),), 2)
    assert NodeSpec.from_json(spec.to_json()) == spec
    pluggable = NodeSpec("n", 3, pluggable_gpus=4)
    assert NodeSpec.from_json(pluggable.to_json()) == pluggable


def test_the_same_request_is_recognised_wherever_the_node_was_placed() -> None:
    assert NodeSpec("n", 3, {"a": "b"}, gpus=1).same_request(NodeSpec("n", 7, {"a": "b"}, gpus=1))
    assert not NodeSpec("n", 3, {"a": "b"}, gpus=1).same_request(NodeSpec("n", 3, {"a": "b"}, gpus=2))
    assert not NodeSpec("n", 3, gpus=1).same_request(NodeSpec("n", 3, pluggable_gpus=1))


@pytest.mark.parametrize(("taken", "free"), [([], 0), ([0], 1), ([0, 1, 3], 2), ([1], 0)])
def test_the_smallest_free_place_is_taken(taken: list[int], free: int) -> None:
    assert free_index(taken) == free
