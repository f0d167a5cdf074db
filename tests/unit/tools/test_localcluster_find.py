from pathlib import Path

import pytest
import yaml

from tools.localcluster import Cluster, ClusterError, find, find_cluster, kind
from tools.localcluster.external import External
from tools.localcluster.kind import Kind


def without_docker() -> bool:
    return False


@pytest.fixture(autouse=True)
def no_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kind, "docker_works", without_docker)


def kubeconfig(tmp_path: Path, context: str) -> str:
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump({"current-context": context}))
    return str(path)


def test_the_users_kubeconfig_comes_first(tmp_path: Path) -> None:
    found = find_cluster(kubeconfig(tmp_path, "production"))
    assert isinstance(found, External)
    assert not found.is_ours


def test_without_a_kubeconfig_and_without_docker_it_is_the_local_cluster() -> None:
    assert isinstance(find_cluster(None), Cluster)
    assert isinstance(find_cluster(""), Cluster)


def test_where_docker_runs_it_is_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kind, "docker_works", lambda: True)
    assert isinstance(find_cluster(None), Kind)


@pytest.mark.parametrize(("context", "expected"), [("kaito-local", Cluster), ("kind-kaito", Kind)])
def test_a_kubeconfig_that_we_wrote_means_our_cluster(tmp_path: Path, context: str, expected: type) -> None:
    path = kubeconfig(tmp_path, context)
    found = find_cluster(path)
    assert isinstance(found, expected)
    assert found.kubeconfig == Path(path)


def test_the_checkouts_kubeconfig_may_be_named_before_it_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "kubeconfig"
    monkeypatch.setattr(find, "CHECKOUT_KUBECONFIG", path)
    assert isinstance(find_cluster(str(path)), Cluster)


def test_a_kubeconfig_that_does_not_exist_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=str(tmp_path / "none")):
        find_cluster(str(tmp_path / "none"))


def test_another_cluster_needs_a_registry_that_its_nodes_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REGISTRY", raising=False)
    with pytest.raises(ClusterError, match="REGISTRY="):
        _ = External(tmp_path / "kubeconfig").registry


def test_another_clusters_nodes_pull_what_its_registry_holds_and_nothing_else(tmp_path: Path) -> None:
    cluster = External(tmp_path / "kubeconfig", registry="registry.test/team")
    cluster.load_image("registry.test/team/kaito-operator:1")
    with pytest.raises(ClusterError, match=r"push it to registry\.test/team"):
        cluster.load_image("localhost:5000/kaito-operator:1")


@pytest.mark.parametrize("cluster", [Kind(), External(Path("k"))])
def test_nodes_of_clusters_that_are_not_local_stay_as_they_are(cluster: Kind | External) -> None:
    with pytest.raises(ClusterError, match=r"tools\.localcluster up"):
        cluster.add_node("n")
    with pytest.raises(ClusterError, match=r"tools\.localcluster up"):
        cluster.remove_node("n")
