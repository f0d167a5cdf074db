"""The table of images and the tags that follow from what goes into one."""

import re
from pathlib import Path

import pytest

from tools.images.base import public_base
from tools.images.errors import ImageError, NoBaseImageError
from tools.images.recipes import CHECKOUT, Recipe, content_tag, load_recipes

RECIPES = load_recipes()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "package" / "inner").mkdir(parents=True)
    (tmp_path / "package" / "inner" / "code.py").write_text("x = 1")
    (tmp_path / "lock.txt").write_text("a==1")
    (tmp_path / "Dockerfile").write_text("FROM scratch")
    (tmp_path / ".dockerignore").write_text("*")
    return tmp_path


def recipe(**changes: object) -> Recipe:
    row = {"repository": "r", "dockerfile": "Dockerfile", "inputs": ["lock.txt", "package"]}
    return Recipe.model_validate(row | changes)


def test_the_same_inputs_give_the_same_tag(checkout: Path) -> None:
    assert content_tag(recipe(), "base", checkout) == content_tag(recipe(), "base", checkout)


def test_a_tag_is_12_hex_digits_and_the_flavour(checkout: Path) -> None:
    tag = content_tag(recipe(tag_suffix="-cpu"), "base", checkout)

    assert re.fullmatch(r"[0-9a-f]{12}-cpu", tag)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("package/inner/code.py", "x = 2"),
        ("package/inner/new.py", ""),
        ("lock.txt", "a==2"),
        ("Dockerfile", "FROM scratch\nLABEL a=b"),
        (".dockerignore", ""),
    ],
)
def test_any_changed_input_changes_the_tag(checkout: Path, path: str, content: str) -> None:
    before = content_tag(recipe(), "base", checkout)

    (checkout / path).write_text(content)

    assert content_tag(recipe(), "base", checkout) != before


def test_a_renamed_file_changes_the_tag(checkout: Path) -> None:
    before = content_tag(recipe(), "base", checkout)

    (checkout / "package" / "inner" / "code.py").rename(checkout / "package" / "code.py")

    assert content_tag(recipe(), "base", checkout) != before


def test_another_base_or_build_argument_changes_the_tag(checkout: Path) -> None:
    tags = {
        content_tag(recipe(), "base", checkout),
        content_tag(recipe(), "other base", checkout),
        content_tag(recipe(arguments={"FLAVOUR": "gpu"}), "base", checkout),
    }

    assert len(tags) == 3


def test_compiled_files_do_not_change_the_tag(checkout: Path) -> None:
    before = content_tag(recipe(), "base", checkout)

    (checkout / "package" / "__pycache__").mkdir()
    (checkout / "package" / "__pycache__" / "code.cpython-311.pyc").write_bytes(b"\0")

    assert content_tag(recipe(), "base", checkout) == before


def test_a_missing_input_is_named(checkout: Path) -> None:
    (checkout / "lock.txt").unlink()

    with pytest.raises(ImageError, match=r"lock\.txt is missing"):
        content_tag(recipe(), "base", checkout)


@pytest.mark.parametrize("name", [name for name in RECIPES if not RECIPES[name].stands_alone])
def test_all_that_a_dockerfile_copies_decides_the_tag(name: str) -> None:
    row = RECIPES[name]
    text = (CHECKOUT / row.dockerfile).read_text()
    copied = set(re.findall(r"^COPY (\w\S*) ", text, flags=re.MULTILINE))
    locks = {path for path in copied if path.startswith("locks/")}

    assert copied - locks <= set(row.inputs)
    assert locks & set(row.inputs), "each flavour installs one of them"
    assert "type=bind" not in text, "buildah takes a layer from its cache though a mounted file has changed"


@pytest.mark.parametrize("name", [name for name in RECIPES if not RECIPES[name].stands_alone])
def test_every_input_reaches_the_builder(name: str) -> None:
    passed = (CHECKOUT / ".dockerignore").read_text().splitlines()

    assert {f"!{path.split('/')[0]}" for path in RECIPES[name].inputs} <= set(passed)


@pytest.mark.parametrize("name", [name for name in RECIPES if RECIPES[name].program])
def test_all_that_a_program_is_built_from_decides_the_tag(name: str) -> None:
    row = RECIPES[name]
    assert row.program is not None
    module = CHECKOUT / row.program.module
    sources = [*module.glob("*.go"), module / "go.mod", module / "go.sum"]

    assert {path.relative_to(CHECKOUT).as_posix() for path in sources} == set(row.inputs)
    assert f"COPY {module.name} /{module.name}" in (CHECKOUT / row.dockerfile).read_text()


def test_both_dockerfiles_stand_on_the_same_public_base() -> None:
    bases = {
        public_base((CHECKOUT / row.dockerfile).read_text())
        for row in RECIPES.values()
        if not row.stands_alone
    }

    assert len(bases) == 1
    assert not bases.pop().endswith(":latest")


def test_a_dockerfile_without_a_base_argument_is_told() -> None:
    with pytest.raises(NoBaseImageError, match="ARG BASE_IMAGE"):
        public_base("FROM scratch")


def test_flavours_of_one_repository_have_different_tags() -> None:
    names = [(row.repository, row.tag_suffix) for row in RECIPES.values()]

    assert len(names) == len(set(names))
