"""How a step of a build is told, and how it fails."""

import sys
from pathlib import Path

import pytest

from tools.images.builders import Build
from tools.images.errors import CommandError, ToolMissingError
from tools.images.steps import answer, run_logged, step
from tools.images.weights import open_modes


def test_a_step_is_told_before_it_starts_and_timed_after() -> None:
    told: list[str] = []

    with step(told.append, "building x"):
        assert told == ["building x ..."]

    assert told[1].startswith("building x: ")
    assert told[1].endswith(" s")


def test_a_step_that_fails_is_not_told_as_done() -> None:
    told: list[str] = []

    with pytest.raises(ValueError, match="no"), step(told.append, "building x"):
        raise ValueError("no")

    assert told == ["building x ..."]


def test_a_failed_program_is_told_with_its_last_words_and_the_log(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "x.log"

    with pytest.raises(CommandError) as told:
        run_logged([sys.executable, "-c", "print('no space'); raise SystemExit(3)"], log)

    assert "status 3" in str(told.value)
    assert str(log) in str(told.value)
    assert "no space" in str(told.value)


def test_a_missing_program_is_told_with_what_brings_it(tmp_path: Path) -> None:
    with pytest.raises(ToolMissingError, match="apt-get install no-such-program"):
        run_logged(["no-such-program"], tmp_path / "x.log")


def test_a_question_to_a_missing_program_has_no_answer() -> None:
    assert answer(["no-such-program"]) is None


def test_a_build_hands_its_secrets_over_as_files_and_its_arguments_as_values() -> None:
    build = Build(
        "r:1", Path("/c"), Path("/c/Dockerfile"), {"FLAVOUR": "cpu"}, {"a": "b"}, {"ca.crt": Path("/ca")}
    )

    assert build.flags() == [
        *("--file", "/c/Dockerfile", "--tag", "r:1"),
        *("--build-arg", "FLAVOUR=cpu"),
        *("--label", "a=b"),
        *("--secret", "id=ca.crt,src=/ca"),
    ]


def test_weights_are_readable_for_every_user(tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    (folder / "inner").mkdir(parents=True, mode=0o700)
    file = folder / "inner" / "model.safetensors"
    file.touch(mode=0o600)

    open_modes(folder)

    assert [path.stat().st_mode & 0o777 for path in (folder, folder / "inner", file)] == [0o755, 0o755, 0o644]
