"""The programs that build images: docker where it runs, else buildah."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tools.images.debian import ensure_programs
from tools.images.registry import is_local
from tools.images.steps import Report, answer, run_logged

# A registry that is out of reach must not hold up the build: asking for a manifest is one small request.
PROBE_SECONDS = 8.0
PROXY_VARIABLES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
ACCEPT_ANY_SIGNATURE = {"default": [{"type": "insecureAcceptAnything"}]}


@dataclass(frozen=True)
class Build:
    """One image to build.

    Attributes:
        reference: the name it gets.
        context: the folder that COPY and ADD read from.
        secrets: id -> file, readable while a RUN step lasts and in no layer.
    """

    reference: str
    context: Path
    dockerfile: Path
    arguments: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Path] = field(default_factory=dict)

    def flags(self) -> list[str]:
        """The flags that docker and buildah have in common."""
        flags = ["--file", str(self.dockerfile), "--tag", self.reference]
        for name, value in sorted(self.arguments.items()):
            flags += ["--build-arg", f"{name}={value}"]
        for name, value in sorted(self.labels.items()):
            flags += ["--label", f"{name}={value}"]
        for name, path in sorted(self.secrets.items()):
            flags += ["--secret", f"id={name},src={path}"]
        return flags


class Builder(Protocol):
    """Builds, keeps and pushes images. Steps that fail raise CommandError; output goes to the log."""

    @property
    def name(self) -> str:
        """The program's name."""
        ...

    def build(self, build: Build, log: Path) -> None:
        """Build one image; unchanged layers are taken from before."""
        ...

    def push(self, reference: str, log: Path) -> None:
        """Push an image to the registry that its reference names."""
        ...

    def image_id(self, reference: str) -> str | None:
        """The identity of an image, which changes with its content; None: the builder does not have it."""
        ...

    def pull(self, reference: str, log: Path) -> bool:
        """Get a public image; False when its registry does not answer within PROBE_SECONDS."""
        ...


@dataclass(frozen=True)
class Docker:
    """The docker command line, with BuildKit."""

    name: str = "docker"

    def build(self, build: Build, log: Path) -> None:
        """See Builder."""
        command = ["docker", "build", "--progress", "plain", *build.flags()]
        # Unlike buildah, docker hands a proxy to RUN steps only when asked to; no layer keeps it.
        for variable in PROXY_VARIABLES:
            if variable in os.environ:
                command += ["--build-arg", variable]
        run_logged([*command, str(build.context)], log, env={"DOCKER_BUILDKIT": "1"})

    def push(self, reference: str, log: Path) -> None:
        """See Builder."""
        run_logged(["docker", "push", reference], log)

    def image_id(self, reference: str) -> str | None:
        """See Builder."""
        return answer(["docker", "image", "inspect", "--format", "{{.Id}}", reference])

    def pull(self, reference: str, log: Path) -> bool:
        """See Builder."""
        if answer(["docker", "manifest", "inspect", reference], timeout_s=PROBE_SECONDS) is None:
            return False
        run_logged(["docker", "pull", reference], log)
        return True


@dataclass(frozen=True)
class Buildah:
    """Buildah with a storage of its own, so that nothing of the machine's other images is touched.

    Attributes:
        folder: everything it writes: storage, temporary files, its policy.
        driver: "overlay" where the file system carries it, else "vfs", which copies every layer.
    """

    folder: Path
    driver: str = "overlay"
    name: str = "buildah"

    def build(self, build: Build, log: Path) -> None:
        """See Builder."""
        # chroot: needs no runtime, no cgroup and no network of its own, so it works inside of containers too.
        command = self._command("build", "--isolation", "chroot", "--layers", "--pull=false", *self._policy())
        run_logged([*command, *build.flags(), str(build.context)], log, env=self._environment())

    def push(self, reference: str, log: Path) -> None:
        """See Builder."""
        # To a registry on this machine, compressing costs more time than it saves.
        flags = ["--tls-verify=false", "--disable-compression"] if is_local(reference) else []
        run_logged(self._command("push", *self._policy(), *flags, reference), log, env=self._environment())

    def image_id(self, reference: str) -> str | None:
        """See Builder."""
        command = self._command("images", "--quiet", "--no-trunc", reference)
        return answer(command, env=self._environment()) or None

    def pull(self, reference: str, log: Path) -> bool:
        """See Builder."""
        probe = self._command("manifest", "inspect", f"docker://{reference}")
        if answer(probe, env=self._environment(), timeout_s=PROBE_SECONDS) is None:
            return False
        run_logged(self._command("pull", *self._policy(), reference), log, env=self._environment())
        return True

    def works(self) -> bool:
        """True when the storage driver can be used where the folder lies."""
        return answer(self._command("info"), env=self._environment()) is not None

    def _command(self, verb: str, *flags: str) -> list[str]:
        store = self.folder / self.driver
        places = ["--root", str(store / "storage"), "--runroot", str(store / "run")]
        return ["buildah", *places, "--storage-driver", self.driver, verb, *flags]

    def _policy(self) -> list[str]:
        """Write the signature policy (not every machine has one) and give the flag that names it."""
        path = self.folder / "policy.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(ACCEPT_ANY_SIGNATURE))
        return ["--signature-policy", str(path)]

    def _environment(self) -> dict[str, str]:
        """Keep temporary files, and with them the cache mounts of RUN steps, inside the folder."""
        temporary = self.folder / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        return {"TMPDIR": str(temporary)}


def find_builder(cache: Path, report: Report) -> Builder:
    """Choose docker when its daemon answers, else buildah, which is installed when this is root on Debian.

    Raises:
        ToolMissingError: neither is there nor can be installed; the text names the command that brings one.
    """
    if answer(["docker", "info"], timeout_s=10) is not None:
        return Docker()
    ensure_programs({"buildah": "buildah"}, report, cache)
    overlay = Buildah(cache / "buildah")
    return overlay if overlay.works() else Buildah(cache / "buildah", driver="vfs")
