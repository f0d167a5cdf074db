import os
import sys
from pathlib import Path

import pytest

from tools.localcluster import Cluster, ClusterError, binaries, cli, preflight
from tools.localcluster.paths import CHECKOUT_KUBECONFIG, Paths, cache_folder, write_private
from tools.localcluster.removal import Removal
from tools.localcluster.status import NodeStatus, ProcessStatus, Status

STATUS = Status(
    exists=True,
    healthy=False,
    kubernetes="1.36.3",
    paths={"kubeconfig": "/k"},
    registries=("localhost:5000",),
    processes=(ProcessStatus("etcd", 7, 100), ProcessStatus("dns", 0, 0)),
    nodes=(NodeStatus("n", True, "10.244.1.1", "Standard_X", 2),),
)


@pytest.fixture
def harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    """As root, with every way to change this very machine closed, should the refusal under test fail."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the machine would have been changed")

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(preflight, "ensure_packages", lambda _: None)
    monkeypatch.setattr(binaries, "ensure", refuse)
    monkeypatch.setattr(Removal, "run", refuse)


def test_the_kubeconfig_goes_into_the_checkout_unless_another_place_is_named() -> None:
    assert cli.parser().parse_args(["up"]).kubeconfig == CHECKOUT_KUBECONFIG
    assert cli.parser().parse_args(["up", "--kubeconfig", "/x"]).kubeconfig == Path("/x")


def test_an_error_ends_a_command_with_status_1_and_its_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_: Cluster) -> None:
        raise ClusterError("the sentence")

    monkeypatch.setattr(Cluster, "status", refuse)
    assert cli.main(["status"]) == 1
    assert capsys.readouterr().err == "error: the sentence\n"


def test_without_root_the_command_that_helps_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ClusterError, match="sudo -E"):
        preflight.check_platform()


def test_another_system_than_linux_is_refused_with_the_other_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(ClusterError, match=r"needs Linux.*KUBECONFIG="):
        preflight.check_platform()


@pytest.mark.usefixtures("harmless")
def test_a_running_version_is_not_replaced_by_another(tmp_path: Path) -> None:
    paths = Paths(tmp_path, tmp_path / "run")
    write_private(paths.record, '{"kubernetes": "1.34.4"}')
    with pytest.raises(ClusterError, match=r"1\.34\.4 is here.*tools\.localcluster down"):
        Cluster("1.36", paths=paths).up()


@pytest.mark.usefixtures("harmless")
def test_without_a_cluster_changing_one_says_how_to_start_it(tmp_path: Path) -> None:
    cluster = Cluster(paths=Paths(tmp_path, tmp_path / "run"))
    assert not cluster.status().exists
    with pytest.raises(ClusterError, match=r"tools\.localcluster up"):
        cluster.add_node("n")


@pytest.mark.usefixtures("harmless")
def test_a_cluster_of_another_cache_folder_is_left_alone(tmp_path: Path) -> None:
    other, ours = (Paths(tmp_path / name, tmp_path / "run") for name in ("other", "ours"))
    write_private(other.record, '{"kubernetes": "1.36.3"}')
    write_private(other.owner, str(other.cache))
    for act in (Cluster(paths=ours).up, Cluster(paths=ours).down):
        with pytest.raises(ClusterError, match=f"KAITO_CACHE={other.cache} .* down"):
            act()


@pytest.mark.usefixtures("harmless")
def test_the_first_node_is_removed_only_with_the_cluster(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="only down"):
        Cluster(paths=Paths(tmp_path, tmp_path / "run")).remove_node("kaito-0")


def test_the_status_names_what_does_not_run_and_what_repairs_it() -> None:
    text = "\n".join(STATUS.lines())
    assert "not healthy (python -m tools.localcluster up repairs it)" in text
    assert "dns                      not running" in text
    assert "n Ready 10.244.1.1  Standard_X  2 GPU" in text


def test_without_a_cluster_the_status_says_how_to_start_one() -> None:
    assert Status(exists=False).lines() == ["No local cluster. Start one: python -m tools.localcluster up"]


def test_the_cache_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAITO_CACHE", "/somewhere")
    assert cache_folder() == Path("/somewhere")
    monkeypatch.delenv("KAITO_CACHE")
    assert cache_folder() == Path.home() / ".cache" / "kaito"
