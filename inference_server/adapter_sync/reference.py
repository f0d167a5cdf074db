"""The name of an image, taken apart as docker does it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from inference_server.adapter_sync.errors import AdapterImageBad

DOCKER_HUB = "docker.io"
_HUB_ALIASES = frozenset({DOCKER_HUB, "index.docker.io", "registry-1.docker.io"})
_HUB_ADDRESS = "registry-1.docker.io"  # the one of the three that serves images
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\d{1,5})?")
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Reference:
    """An image: the registry's name, its repository, and a tag or a digest (`version`)."""

    host: str
    repository: str
    version: str

    @property
    def address(self) -> str:
        """The host and port to connect to."""
        return _HUB_ADDRESS if self.host == DOCKER_HUB else self.host

    @property
    def pinned(self) -> bool:
        """Whether it names one content for ever."""
        return self.version.startswith("sha256:")


def canonical_host(host: str) -> str:
    """Return the one name of a registry that goes by several."""
    return DOCKER_HUB if host in _HUB_ALIASES else host


def parse_reference(image: str) -> Reference:
    """Take an image's name apart; docker.io, library/ and :latest are what is left out.

    Raises:
        AdapterImageBad: it is not the name of an image.
    """
    rest, _, digest = image.partition("@")
    first, slash, remainder = rest.partition("/")
    if slash and (first == "localhost" or "." in first or ":" in first):
        host, rest = canonical_host(first), remainder
    else:
        host = DOCKER_HUB
    repository, _, tag = rest.partition(":")
    if host == DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    version = digest or tag or "latest"
    well_formed = _HOST.fullmatch(host) and _REPOSITORY.fullmatch(repository)
    if not well_formed or not (DIGEST if digest else _TAG).fullmatch(version) or image.endswith((":", "@")):
        raise AdapterImageBad(
            f"{image!r:.200} is not the name of an image; write REGISTRY/REPOSITORY:TAG or @sha256:DIGEST"
        )
    return Reference(host, repository, version)
