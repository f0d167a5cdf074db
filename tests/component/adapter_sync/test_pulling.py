"""What lands on the disk, from real registries."""

import stat
from pathlib import Path

import pytest

from tests.component.adapter_sync.conftest import Program, wait_for
from tests.component.adapter_sync.images import (
    CONFIG,
    INDEX,
    MANIFEST,
    Registry,
    adapter_layer,
    sha256,
    tar,
    weights,
)

pytestmark = pytest.mark.component
FILES = {"data/adapter_config.json": CONFIG, "data/adapter_model.safetensors": weights()}


def _start(program: Program, registry: Registry, *flags: str) -> None:
    program.start("--insecure-registry", registry.host, *flags)


def _pull(program: Program, registry: Registry, layers: list[bytes], *flags: str) -> None:
    registry.push("team/one", "v1", layers)
    program.want({"name": "one", "image": f"{registry.host}/team/one:v1"})
    _start(program, registry, *flags)


def _files(path: str) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in Path(path).iterdir()}


def test_an_image_becomes_a_folder_that_any_user_can_read(program: Program, registry: Registry) -> None:
    digest = registry.push("team/one", "v1", [adapter_layer()])
    program.want({"name": "one", "image": f"{registry.host}/team/one:v1", "strength": 0.5})
    _start(program, registry)
    found = program.until("one", "Pulled")
    assert found["digest"] == digest
    assert found["path"] == str(program.live / f"one@{digest[7:19]}")
    assert found["strength"] == 0.5
    assert _files(found["path"]) == {"adapter_config.json": CONFIG, "adapter_model.safetensors": weights()}
    modes = [
        stat.S_IMODE(path.stat().st_mode) for path in (Path(found["path"]), *Path(found["path"]).iterdir())
    ]
    assert modes == [0o755, 0o644, 0o644]


def test_upper_layers_replace_and_remove_files_of_lower_ones(program: Program, registry: Registry) -> None:
    old = tar({"data/adapter_config.json": b'{"old": 1}', "data/adapter_model.safetensors": weights(b"\x09")})
    opaque = tar({"data/.wh..wh..opq": b"", "./data/adapter_config.json": CONFIG}, packed=False)
    _pull(program, registry, [old, opaque, tar({"data/adapter_model.safetensors": weights(b"\x02")})])
    found = program.until("one", "Pulled")
    assert _files(found["path"]) == {
        "adapter_config.json": CONFIG,
        "adapter_model.safetensors": weights(b"\x02"),
    }


def test_a_removed_file_is_missing(program: Program, registry: Registry) -> None:
    _pull(program, registry, [adapter_layer(), tar({"data/.wh.adapter_config.json": b""})])
    assert "no adapter_config.json" in program.until("one", "Failed", reason="AdapterImageBad")["message"]


def test_plain_files_that_oras_pushed_are_an_adapter_too(program: Program, registry: Registry) -> None:
    names = ["adapter_config.json", "adapter_model.safetensors", "README.md"]
    registry.push("team/plain", "v1", [CONFIG, weights(), b"read me"], names)
    program.want({"name": "plain", "image": f"{registry.host}/team/plain:v1"})
    _start(program, registry)
    found = program.until("plain", "Pulled")
    assert _files(found["path"]) == {"adapter_config.json": CONFIG, "adapter_model.safetensors": weights()}


def test_of_an_index_the_image_for_this_machine_is_taken(program: Program, registry: Registry) -> None:
    other = registry.push("team/many", "other", [adapter_layer(b"\x07")])
    amd64 = registry.push("team/many", "amd64", [adapter_layer(b"\x08")])
    arm64 = registry.push("team/many", "arm64", [adapter_layer(b"\x08")])
    platforms = [(other, "s390x"), (amd64, "amd64"), (arm64, "arm64")]
    index = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [
            {
                "mediaType": MANIFEST,
                "digest": digest,
                "size": 1,
                "platform": {"os": "linux", "architecture": architecture},
            }
            for digest, architecture in platforms
        ],
    }
    digest = registry.push_manifest("team/many", "v1", index)
    program.want({"name": "many", "image": f"{registry.host}/team/many@{digest}"})
    _start(program, registry)
    found = program.until("many", "Pulled", digest=digest)
    assert _files(found["path"])["adapter_model.safetensors"] == weights(b"\x08")


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (tar({"data/adapter_config.json": CONFIG, "data/adapter_model.bin": b"\x80."}), "safe_serial"),
        (tar({"data/adapter_config.json": CONFIG}), "no adapter_model.safetensors"),
        (tar({"data/../../adapter_config.json": CONFIG}), "upwards"),
        (tar({}, {"data/adapter_config.json": "/etc/passwd"}), "link"),
        (tar({}, {"data": "/etc"}), "link"),
        (b"\x28\xb5\x2f\xfd rest", "zstd"),
        (b"\x1f\x8b no archive", "readable tar"),
        (adapter_layer(size=5000)[:-40], "readable tar"),
        (tar({**FILES, "data/adapter_model.safetensors": weights()[:-1]}), "cut off"),
        (tar({**FILES, "data/adapter_config.json": b"[]"}), "JSON object"),
    ],
    ids=[
        "pickle", "no weights", "upwards", "link", "data is a link", "zstd", "no gzip",
        "cut archive", "cut weights", "no object",
    ],
)  # fmt: skip
def test_what_is_no_adapter_fails_with_its_cause_and_leaves_nothing(
    program: Program, registry: Registry, layer: bytes, text: str
) -> None:
    _pull(program, registry, [layer])
    found = program.until("one", "Failed", reason="AdapterImageBad")
    assert text in found["message"]
    assert (found["path"], found["digest"]) == ("", "")
    wait_for(lambda: [path.name for path in program.live.iterdir()] == ["state.json"])


@pytest.mark.parametrize(
    "layer", [adapter_layer(size=200_000), tar({"other": bytes(200_000)})], ids=["file", "bomb"]
)
def test_an_adapter_over_the_limit_is_too_large(program: Program, registry: Registry, layer: bytes) -> None:
    assert len(layer) < 10_000, "it must be the unpacked size that is over the limit"
    _pull(program, registry, [layer], "--max-bytes", "100000")
    program.until("one", "Failed", reason="AdapterTooLarge")


def test_layers_over_the_limit_are_not_pulled(program: Program, registry: Registry) -> None:
    _pull(program, registry, [adapter_layer()], "--max-bytes", "50")
    assert "layers" in program.until("one", "Failed", reason="AdapterTooLarge")["message"]


@pytest.mark.parametrize("image", ["team/nothing:v1", "team/one:nothing", f"team/one@{sha256(b'')}"])
def test_an_image_that_is_not_there_is_not_found(program: Program, registry: Registry, image: str) -> None:
    registry.push("team/one", "v1", [adapter_layer()])
    program.want({"name": "one", "image": f"{registry.host}/{image}"})
    _start(program, registry)
    program.until("one", "Failed", reason="AdapterImageNotFound")


def test_a_bad_adapter_does_not_keep_a_good_one_back(program: Program, registry: Registry) -> None:
    registry.push("team/one", "v1", [adapter_layer()])
    bad = [
        {"name": "bad", "image": f"{registry.host}/team/one:nothing"},
        {"name": "worse", "image": "http://x y"},
        {"name": "unreachable", "image": "127.0.0.1:1/team/one:v1"},
    ]
    program.want(*bad, {"name": "one", "image": f"{registry.host}/team/one:v1"})
    _start(program, registry)
    program.until("one", "Pulled")
    program.until("bad", "Failed", reason="AdapterImageNotFound")
    program.until("worse", "Failed", reason="AdapterImageBad")
    program.until("unreachable", "Failed", reason="RegistryUnreachable")


def test_an_adapter_that_the_pod_brings_is_passed_on(program: Program) -> None:
    folder = program.to / "mounted"
    folder.mkdir()
    (folder / "adapter_config.json").write_bytes(CONFIG)
    (folder / "adapter_model.safetensors").write_bytes(weights())
    program.want(
        {"name": "mounted", "image": "x.example/a:1", "inPod": True}, {"name": "lost", "inPod": True}
    )
    program.start()
    found = program.until("mounted", "Pulled", path=str(folder))
    assert found["digest"] == sha256(CONFIG + weights())
    assert "/data" in program.until("lost", "Failed", reason="AdapterImageBad")["message"]
