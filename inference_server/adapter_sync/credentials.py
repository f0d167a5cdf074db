"""Pull secrets: the mounted files of `kubectl create secret docker-registry`, chosen as the kubelet does."""

from __future__ import annotations

import base64
import binascii
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from inference_server.adapter_sync.reference import Reference, canonical_host

_log = logging.getLogger(__name__)
_FILES = (".dockerconfigjson", "config.json")


@dataclass(frozen=True)
class Credential:
    """An account, and the registries and paths that it is for."""

    host: str
    path: str
    username: str = field(repr=False)
    password: str = field(repr=False)

    def fits(self, reference: Reference) -> bool:
        """Whether it is for this image: the host, with * for one label, and the path's first parts."""
        ours, theirs = self.host.split("."), reference.host.split(".")
        same_host = len(ours) == len(theirs) and all(map(fnmatchcase, theirs, ours))
        return same_host and f"{reference.repository}/".startswith(f"{self.path}/" if self.path else "")


def find_credentials(folder: Path, reference: Reference) -> list[Credential]:
    """Return the accounts for an image, the one with the longest path first, then by the Secret's name.

    They are read anew at every call, since the kubelet renews mounted Secrets.
    """
    fitting = [found for found in _read_all(folder) if found.fits(reference)]
    return sorted(fitting, key=lambda found: -len(found.path))


def _read_all(folder: Path) -> Iterator[Credential]:
    if not folder.is_dir():
        return
    for secret in sorted(folder.iterdir()):  # ..data, the kubelet's own link, holds no file itself
        for name in _FILES:
            path = secret / name
            if path.is_file():
                yield from _read(path)


def _read(path: Path) -> Iterator[Credential]:
    try:
        auths = json.loads(path.read_text(encoding="utf-8"))["auths"]
        entries = list(auths.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        # Never the text of the error: a decoder's may quote the file.
        extra = {"secret": path.parent.name, "error": type(error).__name__}
        _log.warning("a pull secret is passed over: it is not a docker configuration", extra=extra)
        return
    for key, entry in entries:
        account = _account(entry)
        if account is None:
            _log.warning("a pull secret has an entry without an account", extra={"secret": path.parent.name})
            continue
        host, repository = _place(key)
        yield Credential(host, repository, *account)


def _place(key: str) -> tuple[str, str]:
    """Split "https://index.docker.io/v1/" or "registry/team" into the host and the path."""
    host, _, path = key.split("://", 1)[-1].rstrip("/").partition("/")
    return canonical_host(host), "" if path in {"v1", "v2"} else path


def _account(entry: object) -> tuple[str, str] | None:
    if not isinstance(entry, dict):
        return None
    username, password, joined = entry.get("username"), entry.get("password"), entry.get("auth")
    if isinstance(joined, str) and joined:
        try:
            username, _, password = base64.b64decode(joined).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
    if isinstance(username, str) and isinstance(password, str) and username:
        return username, password
    return None
