"""What the copier copies, how it goes on after a kill, and what it says meanwhile."""

import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.support.copier import MIB, Copier, contents, mode

TERMINATED = 143
DEADLINE_SECONDS = 20.0

pytestmark = pytest.mark.component


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.001)


def test_it_installs_itself_as_a_program_that_every_user_may_run(copier: Copier, target: Path) -> None:
    installed = target / "copier"

    copier("install", installed)

    assert mode(installed) == 0o755
    assert installed.read_bytes() == copier.program.read_bytes()
    assert list(target.iterdir()) == [installed]


def test_the_installed_program_copies(copier: Copier, source: Path, target: Path, tmp_path: Path) -> None:
    installed = tmp_path / "installed"
    copier("install", installed)

    Copier(installed, tmp_path)("copy", source, target)

    assert contents(target) == contents(source)


def test_it_needs_no_file_beside_itself(copier: Copier, source: Path, target: Path, tmp_path: Path) -> None:
    """A weights image has no shell and no libc: a root folder with the weights alone is enough."""
    if os.geteuid() != 0:
        pytest.skip("chroot needs root")
    shutil.copy(copier.program, tmp_path / "copier")

    Copier(Path("/copier"), tmp_path)("copy", "/weights", "/mnt", through=("chroot", tmp_path))

    assert contents(target) == contents(source)


def test_files_are_readable_and_folders_passable_for_every_user(
    copier: Copier, source: Path, target: Path
) -> None:
    (source / "config.json").chmod(0o600)
    (source / "deep").chmod(0o700)

    copier("copy", source, target)

    assert mode(target / "config.json") == 0o644
    assert mode(target / "deep") == 0o755


def test_a_link_to_a_file_in_the_source_becomes_that_file(copier: Copier, source: Path, target: Path) -> None:
    (source / "model.safetensors").symlink_to("deep/er/model.safetensors")

    copier("copy", source, target)

    copied = target / "model.safetensors"
    assert not copied.is_symlink()
    assert copied.read_bytes() == (source / "deep" / "er" / "model.safetensors").read_bytes()


def test_a_source_that_is_a_link_is_followed_and_so_are_the_links_in_it(
    copier: Copier, source: Path, target: Path, tmp_path: Path
) -> None:
    (source / "model.safetensors").symlink_to("deep/er/model.safetensors")
    link = tmp_path / "link"
    link.symlink_to(source)

    copier("copy", link, target)

    assert contents(target) == contents(source)


def test_it_ends_with_the_bytes_it_copied(copier: Copier, source: Path, target: Path) -> None:
    done = copier("copy", source, target)

    assert done.stdout.startswith(f"copier: copied {5 * MIB + 3} bytes in ")


def test_a_second_run_copies_nothing_again(copier: Copier, source: Path, target: Path) -> None:
    copier("copy", source, target)
    before = {path: path.stat().st_ino for path in target.rglob("*")}

    done = copier("copy", source, target)

    assert {path: path.stat().st_ino for path in target.rglob("*")} == before
    assert done.stdout.startswith("copier: copied 0 bytes in ")


def test_a_file_of_another_size_is_copied_again(copier: Copier, source: Path, target: Path) -> None:
    (target / "config.json").write_text("half of an older")

    copier("copy", source, target)

    assert contents(target) == contents(source)


def kill_in_the_middle(copier: Copier, source: Path, target: Path) -> None:
    """Let the kernel kill it within the large file, by a limit on the size of what it may write."""
    killed = copier("copy", source, target, through=("prlimit", f"--fsize={MIB}"))
    assert killed.returncode == -signal.SIGXFSZ


def test_a_copy_that_was_killed_shows_no_half_file_under_its_name(
    copier: Copier, source: Path, target: Path
) -> None:
    kill_in_the_middle(copier, source, target)

    assert [path.name for path in (target / "deep" / "er").iterdir()] == [".copier-part"]


def test_a_copy_that_was_killed_is_completed_by_the_next(copier: Copier, source: Path, target: Path) -> None:
    kill_in_the_middle(copier, source, target)

    copier("copy", source, target)

    assert contents(target) == contents(source)


def test_sigterm_ends_it_at_once(copier: Copier, big_source: Path, target: Path) -> None:
    with copier.start("copy", big_source, target) as running:
        wait_for(target / ".copier-part")
        running.terminate()

    assert running.returncode == TERMINATED
    assert not (target / "model.safetensors").exists()


@pytest.mark.full
def test_a_long_copy_says_every_five_seconds_how_far_it_is(
    copier: Copier, big_source: Path, target: Path
) -> None:
    with copier.start("copy", big_source, target) as running:
        wait_for(target / ".copier-part")
        running.send_signal(signal.SIGSTOP)  # so that the copy takes longer than that on any machine
        stopped = time.monotonic()
        while time.monotonic() < stopped + 5.1:
            time.sleep(0.1)
        running.send_signal(signal.SIGCONT)
        _, said = running.communicate(timeout=60)

    assert " of 2048 MiB copied (" in said.splitlines()[0]
