"""How the copier fails: exit code, cause, next action."""

import os
from pathlib import Path

import pytest

from tests.support.copier import MIB, Copier, Done, contents

WRONG_ARGUMENTS, NO_SOURCE, NO_SPACE, BAD_ENTRY, COPY_FAILED = 2, 3, 4, 5, 6

pytestmark = pytest.mark.component


@pytest.mark.parametrize(
    ("leads_to", "says"),
    [
        ("../secret", "leads out of"),
        ("nowhere", "leads nowhere"),
        ("deep", "leads to something that is no file"),
    ],
)
def test_any_other_link_is_refused_and_nothing_is_copied(
    copier: Copier, source: Path, target: Path, leads_to: str, says: str
) -> None:
    (source.parent / "secret").write_text("token")
    (source / "link").symlink_to(leads_to)

    done = copier("copy", source, target)

    assert done.returncode == BAD_ENTRY
    assert says in done.stderr
    assert contents(target) == {}


def test_a_pipe_in_the_source_is_refused_by_name(copier: Copier, source: Path, target: Path) -> None:
    os.mkfifo(source / "pipe")

    done = copier("copy", source, target)

    assert done.returncode == BAD_ENTRY
    assert f"{source}/pipe is neither a file nor a folder" in done.stderr


def test_a_missing_source_lists_what_is_there_instead(copier: Copier, source: Path, target: Path) -> None:
    done = copier("copy", source / "deep" / "wieghts", target)

    assert done.returncode == NO_SOURCE
    assert f"{source}/deep holds er. Name the folder of the weights" in done.stderr


def test_a_failure_is_the_pods_termination_message(copier: Copier, source: Path, target: Path) -> None:
    done = copier("copy", source / "nope", target)

    assert copier.message.read_text() == done.stderr.removeprefix("copier: ").rstrip("\n")


def test_a_success_leaves_no_termination_message(copier: Copier, source: Path, target: Path) -> None:
    copier("copy", source, target)

    assert copier.message.read_text() == ""


def copy_to_small_volume(copier: Copier, source: Path, target: Path, size: str) -> Done:
    """Mount a tiny file system over the target, in a namespace that ends with the command."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small volume needs root")
    mount = 'mount -t tmpfs -o "size=$1" tmpfs "$2" && shift 2 && exec "$@"'
    through = ("unshare", "--mount", "sh", "-c", mount, "sh", size, target)
    return copier("copy", source, target, through=through)


def test_a_volume_that_is_too_small_is_refused_before_the_copy_with_the_missing_bytes(
    copier: Copier, source: Path, target: Path
) -> None:
    done = copy_to_small_volume(copier, source, target, "1m")

    assert done.returncode == NO_SPACE
    missing = 5 * MIB + 3 - MIB
    assert f"no space in {target}: {missing} more bytes are needed, for {5 * MIB + 3} bytes" in done.stderr


def test_a_volume_that_fills_up_during_the_copy_is_told_with_the_missing_bytes(
    copier: Copier, tmp_path: Path, target: Path
) -> None:
    """Each of these files takes a whole page of the volume: their bytes fit, their pages do not."""
    many = tmp_path / "many"
    many.mkdir()
    for number in range(32):
        (many / str(number)).write_text("x")

    done = copy_to_small_volume(copier, many, target, "64k")

    assert done.returncode == NO_SPACE
    assert "more bytes are needed, for 32 bytes in all" in done.stderr


def test_an_unreadable_file_is_told_with_the_user_and_the_modes_that_help(
    copier: Copier, source: Path, target: Path, tmp_path: Path
) -> None:
    if os.geteuid() != 0:
        pytest.skip("taking another user's place needs root")
    (source / "config.json").chmod(0o600)
    for folder in (tmp_path, *tmp_path.parents[:2], copier.program.parent):
        folder.chmod(0o755)
    os.chown(target, 65532, 65532)

    other_user = ("setpriv", "--reuid=65532", "--regid=65532", "--clear-groups")
    done = copier("copy", source, target, through=other_user)

    assert done.returncode == COPY_FAILED
    assert f"cannot read {source}/config.json as user 65532" in done.stderr
    assert "files of mode 0644" in done.stderr


def test_a_target_inside_of_the_source_is_refused(copier: Copier, source: Path) -> None:
    done = copier("copy", source, source / "deep" / "copy")

    assert done.returncode == WRONG_ARGUMENTS
    assert "the copy would copy itself" in done.stderr


@pytest.mark.parametrize("arguments", [(), ("copy",), ("move", "a", "b"), ("install", "a", "b")])
def test_wrong_arguments_are_answered_with_the_right_ones(copier: Copier, arguments: tuple[str, ...]) -> None:
    done = copier(*arguments)

    assert done.returncode == WRONG_ARGUMENTS
    assert "copier copy SRC DST" in done.stderr
