from pathlib import Path

import pytest

from tools.localcluster import binaries
from tools.localcluster.command import missing_packages, run
from tools.localcluster.errors import ClusterError
from tools.localcluster.paths import SOURCE
from tools.localcluster.settings import RELEASES, Release, release


@pytest.fixture
def no_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.parametrize("name", RELEASES)
def test_the_module_file_of_every_release_pins_the_release_it_is_for(name: str) -> None:
    found = release(name)
    modfile = (SOURCE / "localkube" / found.modfile).read_text()
    assert f"k8s.io/kubernetes v{found.version}" in modfile
    assert f"k8s.io/api => k8s.io/api v0.{found.version.removeprefix('1.')}" in modfile


def test_every_release_has_a_file_of_its_own() -> None:
    found = [binaries.locate(Path("/bin"), known).localkube for known in RELEASES.values()]
    assert found == [Path("/bin/localkube-1.36.3"), Path("/bin/localkube-1.34.4")]


def test_clients_can_tell_the_servers_version() -> None:
    flags = binaries.version_flags(Release("1.36.3", "go.mod"))
    for value in ("gitVersion=v1.36.3", "gitMajor=1", "gitMinor=36", "gitTreeState=clean"):
        assert f"-X k8s.io/component-base/version.{value}" in flags


def test_a_changed_source_or_pin_means_another_program(tmp_path: Path) -> None:
    (tmp_path / "main.go").write_text("a")
    (tmp_path / "go.mod").write_text("b")
    first = binaries.source_digest(tmp_path, "go.mod")
    (tmp_path / "go.sum").write_text("c")
    second = binaries.source_digest(tmp_path, "go.mod")
    (tmp_path / "main.go").write_text("d")
    assert len({first, second, binaries.source_digest(tmp_path, "go.mod")}) == 3


@pytest.mark.usefixtures("no_programs")
def test_a_build_without_go_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"https://go\.dev"):
        binaries.ensure(tmp_path, release("1.36"), lambda _: None)


@pytest.mark.usefixtures("no_programs")
def test_a_missing_program_is_named_with_its_debian_package() -> None:
    assert {"iproute2", "docker-registry", "apache2-utils"} <= set(missing_packages())
    with pytest.raises(ClusterError, match="apt-get install iproute2"):
        run("ip", "link")


def test_a_failing_program_is_quoted() -> None:
    with pytest.raises(ClusterError, match=r"sh -c .* failed with status 3: cause"):
        run("sh", "-c", "echo noise >&2; echo cause >&2; exit 3")


def test_a_program_that_hangs_is_ended_and_named() -> None:
    with pytest.raises(ClusterError, match="did not end within"):
        run("sleep", "30", timeout_s=0.05)
