from pathlib import Path

import pytest

from tools.localcluster import namespace
from tools.localcluster.kubelet import SHARED_FOLDER
from tools.localcluster.paths import NodePaths, Paths

OUTSIDE = "22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n"


class Machine:
    """Mounts by what the commands say, none of them carried out."""

    def __init__(self, tmp_path: Path) -> None:
        self.outside = tmp_path / "mountinfo"
        self.outside.write_text(OUTSIDE)
        self.inside = OUTSIDE
        self.commands: list[list[str]] = []

    def run(self, *argv: str) -> str:
        self.commands.append(list(argv))
        match argv:
            case ("mount", "--bind", _, target):
                self._mount(target)
            case ("unshare", pin, *_):
                self._mount(pin.removeprefix("--mount="))
            case ("nsenter", _, "--", "mount", "--bind", _, target):
                self.inside += f"40 22 8:1 /x {target} rw - ext4 /dev/sda1 rw\n"
            case ("nsenter", _, "--", "cat", _):
                return self.inside
        return ""

    def _mount(self, target: str) -> None:
        self.outside.write_text(f"{self.outside.read_text()}30 22 8:1 /x {target} rw - ext4 /dev/sda1 rw\n")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(tmp_path)
    monkeypatch.setattr(namespace, "run", machine.run)
    monkeypatch.setattr(namespace, "MOUNTINFO", machine.outside)
    monkeypatch.setattr(namespace, "SHARED_FOLDER", tmp_path / "var-lib-kubelet")
    return machine


@pytest.fixture
def node(tmp_path: Path) -> NodePaths:
    return Paths(tmp_path / "cache", tmp_path / "run").node("n")


def test_the_kubelets_folder_is_bound_inside_the_namespace_only(
    machine: Machine, node: NodePaths, tmp_path: Path
) -> None:
    namespace.ensure(node)
    assert str(tmp_path / "var-lib-kubelet") in machine.inside
    assert str(tmp_path / "var-lib-kubelet") not in machine.outside.read_text()
    bind = ["mount", "--bind", str(node.kubelet), str(tmp_path / "var-lib-kubelet")]
    assert ["nsenter", f"--mount={node.namespace}", "--", *bind] in machine.commands


def test_the_second_time_nothing_is_mounted_over_the_first(machine: Machine, node: NodePaths) -> None:
    namespace.ensure(node)
    before = machine.outside.read_text(), machine.inside
    namespace.ensure(node)
    assert (machine.outside.read_text(), machine.inside) == before


@pytest.mark.parametrize("done", range(1, 6))
def test_a_start_that_was_interrupted_is_completed(machine: Machine, node: NodePaths, done: int) -> None:
    class KilledError(Exception):
        pass

    run, left = machine.run, iter(range(done))

    def dying(*argv: str) -> str:
        if next(left, None) is None:
            raise KilledError
        return run(*argv)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(namespace, "run", dying)
        with pytest.raises(KilledError):
            namespace.ensure(node)
    namespace.ensure(node)
    assert machine.outside.read_text().count(f"{node.run} ") == 1
    assert machine.outside.read_text().count(str(node.namespace)) == 1
    assert machine.inside.count("var-lib-kubelet") == 1


def test_the_namespace_is_named_in_the_nodes_own_folders() -> None:
    one, two = (Paths(Path("/cache")).node(name) for name in ("a", "b"))
    assert one.namespace != two.namespace
    assert one.namespace.is_relative_to(one.run)
    assert Path("/var/lib/kubelet") == SHARED_FOLDER
