import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tools.localcluster.images import write_program_image


@pytest.fixture
def archive(tmp_path: Path) -> dict[str, bytes]:
    """The files of an image archive that holds the program ``pause``."""
    program = tmp_path / "pause"
    program.write_bytes(b"\x7fELF...")
    write_program_image(tmp_path / "a.tar", "localhost/pause:1", program, "x86_64")
    with tarfile.open(tmp_path / "a.tar") as tar:
        return {entry.name: content.read() for entry in tar if (content := tar.extractfile(entry))}


def manifest(archive: dict[str, bytes]) -> Any:
    (described,) = json.loads(archive["index.json"])["manifests"]
    return json.loads(blob(archive, described))


def blob(archive: dict[str, bytes], descriptor: dict[str, Any]) -> bytes:
    content = archive[f"blobs/sha256/{descriptor['digest'].removeprefix('sha256:')}"]
    assert len(content) == descriptor["size"]
    return content


def test_every_blob_lies_under_its_digest(archive: dict[str, bytes]) -> None:
    blobs = {name: content for name, content in archive.items() if name.startswith("blobs/")}
    assert len(blobs) == 3  # layer, configuration, manifest
    assert all(name.endswith(hashlib.sha256(content).hexdigest()) for name, content in blobs.items())


def test_the_image_has_the_name_under_which_containerd_will_know_it(archive: dict[str, bytes]) -> None:
    (described,) = json.loads(archive["index.json"])["manifests"]
    assert described["annotations"] == {"io.containerd.image.name": "localhost/pause:1"}


def test_the_program_runs_as_an_unprivileged_user(archive: dict[str, bytes]) -> None:
    config = json.loads(blob(archive, manifest(archive)["config"]))
    assert config["config"] == {"Entrypoint": ["/pause"], "User": "65535:65535"}
    assert (config["os"], config["architecture"]) == ("linux", "amd64")


def test_the_layer_holds_the_program_alone_and_executable(archive: dict[str, bytes]) -> None:
    (layer,) = manifest(archive)["layers"]
    with tarfile.open(fileobj=io.BytesIO(blob(archive, layer))) as tar:
        (entry,) = tar.getmembers()
        content = tar.extractfile(entry)
        assert content is not None
        assert (entry.name, entry.mode, content.read()) == ("pause", 0o755, b"\x7fELF...")


def test_equal_programs_make_equal_archives(tmp_path: Path) -> None:
    program = tmp_path / "pause"
    program.write_bytes(b"x")
    for name in ("a.tar", "b.tar"):
        write_program_image(tmp_path / name, "localhost/pause:1", program, "x86_64")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
