"""A Workspace gets nodes of its own and lets them go."""

from collections.abc import Iterator

import pytest

from tests.cluster.provisioning.conftest import TYPE, Scene, a_workspace
from tests.support.kube import Api, Obj, eventually


def test_a_node_arrives_and_goes_with_its_workspace(scene: Scene) -> None:
    scene.create(a_workspace())
    scene.until_nodes_ready()
    (claim,) = scene.claims()
    (node,) = scene.nodes()
    assert node["metadata"]["name"] == claim["status"]["nodeName"]
    assert node["metadata"]["labels"]["apps"] == "ws", "the user's labels are on the node"
    assert list(scene.cloud.pools()) == [claim["metadata"]["name"]]
    status = scene.status()
    assert (status["instanceType"], [r["name"] for r in status["claims"]]) == (
        TYPE,
        [claim["metadata"]["name"]],
    )
    eventually(lambda: scene.condition("ResourceReady")[0] == "True", what=scene.words)
    scene.delete()
    eventually(lambda: scene.api.find("workspaces", scene.namespace, "ws") is None, timeout_s=5)
    eventually(lambda: not scene.claims() and not scene.nodes(), timeout_s=30, what=scene.words)
    assert scene.puts() == scene.deletes() == [claim["metadata"]["name"]]


def test_all_nodes_are_asked_for_at_once_and_surplus_ones_go(scene: Scene) -> None:
    scene.create(a_workspace(count=3))
    eventually(lambda: len(scene.claims()) == 3, timeout_s=3, what=scene.words)
    scene.until_nodes_ready()
    scene.api.merge("workspaces", scene.namespace, "ws", {"resource": {"count": 1}})
    eventually(lambda: len(scene.claims()) == 1 and len(scene.nodes()) == 1, what=scene.words)
    eventually(lambda: len(scene.cloud.pools()) == 1, what=scene.words)


def test_a_claim_that_somebody_deletes_is_replaced_under_another_name(scene: Scene) -> None:
    scene.create(a_workspace())
    scene.until_nodes_ready()
    (old,) = [c["metadata"]["name"] for c in scene.claims()]
    scene.api.delete("machines", None, old)
    eventually(
        lambda: [c["metadata"]["name"] for c in scene.claims()] not in ([old], []),
        timeout_s=30,
        what=scene.words,
    )
    scene.until_nodes_ready()
    eventually(lambda: old not in scene.cloud.pools(), what=scene.words)


OWN = "test.kaito.sh/own"


@pytest.fixture
def own_node(api: Api, testbed: Obj) -> Iterator[str]:
    """A node that was there before, with a label of the user's."""
    (node, *_) = api.list("nodes", labelSelector="!kaito.sh/workspace")
    name = str(node["metadata"]["name"])
    api.merge("nodes", None, name, {"metadata": {"labels": {OWN: "yes"}}})
    yield name
    api.merge("nodes", None, name, {"metadata": {"labels": {OWN: None}}})


def test_a_node_that_exists_is_used_before_one_is_asked_for(scene: Scene, own_node: str) -> None:
    scene.create(a_workspace(instanceType=None, labelSelector={"matchLabels": {OWN: "yes"}}))

    def places() -> list[str]:
        found = scene.api.list("pods", scene.namespace, labelSelector="kaito.sh/workspace=ws")
        return [pod["spec"].get("nodeName", "") for pod in found]

    eventually(lambda: places() == [own_node], what=scene.words)
    assert scene.claims() == []
    workspace = scene.api.get("workspaces", scene.namespace, "ws")
    assert workspace["metadata"].get("finalizers", []) == [], "nothing is to be let go of"
    ready = ("True", "installNodePluginsSuccess")
    eventually(lambda: scene.condition("MachineReady") == ready, what=scene.words)

    # A second replica finds no second node, and so one is asked for.
    scene.api.merge("workspaces", scene.namespace, "ws", {"resource": {"count": 2}})
    eventually(lambda: len(scene.claims()) == 1, timeout_s=10, what=scene.words)
