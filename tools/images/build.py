"""Build the images that are missing, and push them."""

import fcntl
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tools.images.base import Base, find_base
from tools.images.builders import Build, Builder, find_builder
from tools.images.errors import ImageError
from tools.images.host import write_secrets
from tools.images.programs import program_context
from tools.images.recipes import CHECKOUT, Recipe, content_tag, load_recipes
from tools.images.registry import has_image
from tools.images.steps import Report, step
from tools.images.weights import weights_context
from tools.localcluster.paths import cache_folder


def build_all(
    registry: str,
    names: Sequence[str],
    report: Report,
    *,
    push: bool = True,
    base_image: str | None = None,
) -> dict[str, str]:
    """Build images and push them; one whose inputs did not change is left alone.

    Args:
        registry: host and port, such as `localhost:5000`, with a path where the registry has one.
        names: rows of images.yaml; all of them when empty.
        report: called with one line before and one after each step.
        push: False only builds, for `kind load` and the like.
        base_image: stands in for the public base; the builder must have it or be able to pull it.

    Returns:
        name -> full reference, in the order asked for.

    Raises:
        ImageError: with the cause and what to do. What was built stays, so a repeat goes on from there.
    """
    recipes = load_recipes()
    unknown = [name for name in names if name not in recipes]
    if unknown:
        raise ImageError(f"There is no image {', '.join(unknown)}: choose from {', '.join(recipes)}.")
    cache = cache_folder()
    report(f"the output of each step goes to {cache / 'logs'}")
    with _alone(cache, report), tempfile.TemporaryDirectory() as secrets:
        session = _Session(registry, report, push, base_image, cache, Path(secrets))
        return {name: session.provide(name, recipes[name]) for name in names or recipes}


@contextmanager
def _alone(cache: Path, report: Report) -> Iterator[None]:
    """Let one build run at a time on this machine: two would make the same base and weights twice."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "images.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("waiting for another image build on this machine")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@dataclass
class _Session:
    """One run: the builder and the base are looked for when the first image needs them."""

    registry: str
    report: Report
    push: bool
    base_image: str | None
    cache: Path
    secrets: Path
    _builder: Builder | None = field(default=None, init=False)
    _base: Base | None = field(default=None, init=False)

    def provide(self, name: str, recipe: Recipe) -> str:
        """Make one image be where it should be; return its reference."""
        base = "" if recipe.stands_alone else self._found_base().identity
        tag = content_tag(recipe, base)
        reference = f"{self.registry}/{recipe.repository}:{tag}"
        if self.push and has_image(self.registry, recipe.repository, tag):
            self.report(f"{reference} is in the registry")
            return reference
        builder = self._found_builder()
        log = self.cache / "logs" / f"{name}.log"
        if builder.image_id(reference) is None:
            build = self._build(name, recipe, reference)
            with step(self.report, f"building {reference} with {builder.name}"):
                builder.build(build, log)
        if self.push:
            with step(self.report, f"pushing {reference}"):
                builder.push(reference, log)
        return reference

    def _build(self, name: str, recipe: Recipe, reference: str) -> Build:
        dockerfile = CHECKOUT / recipe.dockerfile
        if recipe.weights is not None:
            key = content_tag(recipe, "")
            context = weights_context(name, recipe.weights, key, self.cache, self.report)
            return Build(reference, context, dockerfile, labels=recipe.labels)
        if recipe.program is not None:
            context = program_context(recipe.program, self.cache, self.report)
            return Build(reference, context, dockerfile, labels=recipe.labels)
        arguments = {**recipe.arguments, "BASE_IMAGE": self._found_base().reference}
        return Build(reference, CHECKOUT, dockerfile, arguments, recipe.labels, write_secrets(self.secrets))

    def _found_builder(self) -> Builder:
        if self._builder is None:
            self._builder = find_builder(self.cache, self.report)
        return self._builder

    def _found_base(self) -> Base:
        if self._base is None:
            self._base = find_base(self._found_builder(), self.cache, self.report, self.base_image)
        return self._base
