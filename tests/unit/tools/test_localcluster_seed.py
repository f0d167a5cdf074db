import os
from pathlib import Path

import pytest

from tools.localcluster import seed
from tools.localcluster.errors import ClusterError
from tools.localcluster.paths import Paths


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A containerd root with two layers, a half-made one and a blob."""
    root = tmp_path / "root"
    for path in seed.DATABASES:
        (root / path).parent.mkdir(parents=True)
        (root / path).write_bytes(path.name.encode())
    for name in ("1", "12", "new-123"):
        (root / seed.LAYERS / name / "fs").mkdir(parents=True)
        (root / seed.LAYERS / name / "fs" / "file").write_text(name)
    (root / seed.BLOBS).mkdir(parents=True)
    (root / seed.BLOBS / "aa").write_text("blob")
    return root


def copy_of(root: Path, tmp_path: Path) -> Path:
    seed.write_copy(seed.read_settled(root), root, tmp_path / "copy")
    return tmp_path / "copy"


def test_a_copy_shows_all_layers_blobs_and_databases(root: Path, tmp_path: Path) -> None:
    copy = copy_of(root, tmp_path)
    assert sorted(path.name for path in (copy / seed.LAYERS).iterdir()) == ["1", "12"]
    assert (copy / seed.LAYERS / "12" / "fs" / "file").read_text() == "12"
    assert (copy / seed.BLOBS / "aa").read_text() == "blob"
    assert [(copy / path).read_bytes() for path in seed.DATABASES] == [b"meta.db", b"metadata.db"]


def test_what_a_node_removes_stays_with_the_first_one(root: Path, tmp_path: Path) -> None:
    copy = copy_of(root, tmp_path)
    for path in [*(copy / seed.LAYERS).iterdir(), *(copy / seed.BLOBS).iterdir()]:
        path.unlink()
    (copy / seed.DATABASES[0]).write_bytes(b"changed")
    assert (root / seed.LAYERS / "1" / "fs" / "file").read_text() == "1"
    assert (root / seed.BLOBS / "aa").read_text() == "blob"
    assert (root / seed.DATABASES[0]).read_bytes() == b"meta.db"


def test_blobs_take_no_disk_twice(root: Path, tmp_path: Path) -> None:
    copy = copy_of(root, tmp_path)
    assert (copy / seed.BLOBS / "aa").samefile(root / seed.BLOBS / "aa")


def test_a_root_that_changed_between_two_readings_is_read_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, states = seed._read, iter([b"1", b"2", b"3", b"3"])

    def busy(path: Path) -> seed.Content:
        (root / seed.DATABASES[0]).write_bytes(next(states))
        return read(path)

    monkeypatch.setattr(seed, "_read", busy)
    assert seed.read_settled(root).databases[0] == b"3"


def test_a_root_that_never_rests_is_refused_with_the_next_action(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = seed._read

    def busy(path: Path) -> seed.Content:
        (root / seed.DATABASES[0]).write_bytes(os.urandom(8))
        return read(path)

    monkeypatch.setattr(seed, "_read", busy)
    with pytest.raises(ClusterError, match="change all the time: wait until"):
        seed.read_settled(root)


def test_a_root_without_databases_has_no_images_to_give(root: Path, tmp_path: Path) -> None:
    assert seed.available(root)
    (root / seed.DATABASES[1]).unlink()
    assert not seed.available(root)
    assert not seed.available(tmp_path / "none")


def test_the_containerd_that_tidies_knows_no_pods_and_shares_no_socket(tmp_path: Path) -> None:
    node = Paths(tmp_path).node("n")
    text = seed.configuration(node)
    assert all(f'"{plugin}"' in text for plugin in seed.POD_PLUGINS)
    assert seed.daemon_name("n") != "containerd-n"
