"""Programs built from source with the Go toolchain, once a version, and kept in the cache folder."""

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.localcluster.errors import ClusterError
from tools.localcluster.images import write_program_image
from tools.localcluster.paths import SOURCE
from tools.localcluster.settings import (
    CLUSTERDNS_VERSION,
    CONTAINERD_VERSION,
    PAUSE_IMAGE,
    PAUSE_VERSION,
    Release,
)

PROGRESS_S = 20
CONTAINERD_MODULE = "github.com/containerd/containerd/v2/cmd"
CONTAINERD_PROGRAMS = ("containerd", "containerd-shim-runc-v2", "ctr")
VERSION_PACKAGE = "k8s.io/component-base/version"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Binaries:
    """Where the built programs lie.

    Attributes:
        localkube: all of Kubernetes, and etcd.
        containerd: the folder of containerd, its shim and ctr.
        clusterdns: CoreDNS.
        pause_archive: OCI archive of the image that holds a pod's namespaces open.
    """

    localkube: Path
    containerd: Path
    clusterdns: Path
    pause_archive: Path


def locate(folder: Path, release: Release) -> Binaries:
    """Say where the programs for a Kubernetes release belong, there or not."""
    return Binaries(
        localkube=folder / f"localkube-{release.version}",
        containerd=folder / f"containerd-{CONTAINERD_VERSION}",
        clusterdns=folder / f"clusterdns-{CLUSTERDNS_VERSION}",
        pause_archive=folder / f"pause-{PAUSE_VERSION}.tar",
    )


def ensure(folder: Path, release: Release, say: Say) -> Binaries:
    """Build what is missing, saying what and how long it takes.

    Args:
        folder: for the programs, and a log beside each.
        release: of Kubernetes.
        say: gets a line before each build, one every 20 s during it and one after.

    Raises:
        ClusterError: Go is missing or a build failed; with the end of its log.
    """
    found = locate(folder, release)
    builder = _Builder(folder, say)
    with _locked(folder):
        builder.localkube(found.localkube, release)
        builder.containerd(found.containerd)
        builder.clusterdns(found.clusterdns)
        builder.pause(found.pause_archive)
    return found


def ensure_program(source: Path, target: Path, takes: str, say: Say) -> None:
    """Build the Go module in a folder into one static program, unless it is there from this very source.

    Args:
        source: folder with go.mod, go.sum and the program's files.
        target: the program; beside it come a log and a mark of its source.
        takes: how long it takes, for a person.
        say: gets lines as in ensure().

    Raises:
        ClusterError: Go is missing or the build failed; with the end of its log.
    """
    with _locked(target.parent):
        _Builder(target.parent, say).program(target, source, takes)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process build at a time; a second one finds the work done."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def source_digest(folder: Path, modfile: str) -> str:
    """Fingerprint a Go module: a program is built anew when its source or its pins change."""
    digest = hashlib.sha256()
    for path in (*sorted(folder.glob("*.go")), folder / modfile, (folder / modfile).with_suffix(".sum")):
        if path.exists():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def version_flags(release: Release) -> str:
    """Give the linker flags that put the version in: without it clients refuse the server's answer."""
    major, minor, _ = release.version.split(".")
    values = {
        "gitVersion": f"v{release.version}",
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
    }
    return " ".join(["-s -w", *(f"-X {VERSION_PACKAGE}.{name}={value}" for name, value in values.items())])


class _Builder:
    """Builds into one folder."""

    def __init__(self, folder: Path, say: Say) -> None:
        self._folder = folder
        self._say = say

    def localkube(self, target: Path, release: Release) -> None:
        what = f"Kubernetes {release.version} and etcd as one program"
        flags = version_flags(release)
        self._module(target, SOURCE / "localkube", release.modfile, (what, "8 minutes on 2 cores"), flags)

    def clusterdns(self, target: Path) -> None:
        what = f"CoreDNS {CLUSTERDNS_VERSION}"
        self._module(target, SOURCE / "clusterdns", "go.mod", (what, "1 minute"), "-s -w")

    def containerd(self, target: Path) -> None:
        if all((target / name).exists() for name in CONTAINERD_PROGRAMS):
            return
        new = _emptied(target.with_name(f".{target.name}.new"))
        packages = [f"{CONTAINERD_MODULE}/{name}@v{CONTAINERD_VERSION}" for name in CONTAINERD_PROGRAMS]
        argv = ["go", "install", "-trimpath", "-ldflags", "-s -w", *packages]
        self._build(
            target.name, argv, new, (f"containerd {CONTAINERD_VERSION}", "2 minutes"), {"GOBIN": str(new)}
        )
        shutil.rmtree(target, ignore_errors=True)
        new.rename(target)

    def pause(self, target: Path) -> None:
        if target.exists():
            return
        program = self._folder / "pause"
        self._module(program, SOURCE / "pause", "go.mod", ("the pause program", "some seconds"), "-s -w")
        new = target.with_name(f".{target.name}.new")
        write_program_image(new, PAUSE_IMAGE, program, platform.machine())
        new.rename(target)

    def program(self, target: Path, source: Path, takes: str) -> None:
        self._module(target, source, "go.mod", (f"the program {target.name}", takes), "-s -w")

    def _module(self, target: Path, source: Path, modfile: str, what: tuple[str, str], flags: str) -> None:
        """Build the module in a source folder into one file, unless that file is from this very source."""
        digest = source_digest(source, modfile)
        mark = target.with_name(f"{target.name}.source")
        if target.exists() and mark.exists() and mark.read_text() == digest:
            return
        new = target.with_name(f".{target.name}.new")
        # Without -buildvcs=false Go asks git about the checkout, which may belong to another user.
        options = ["-trimpath", "-buildvcs=false", f"-modfile={modfile}", "-ldflags", flags]
        self._build(target.name, ["go", "build", *options, "-o", str(new), "."], source, what, {})
        new.rename(target)
        mark.write_text(digest)

    def _build(
        self, name: str, argv: Sequence[str], folder: Path, what: tuple[str, str], extra: Mapping[str, str]
    ) -> None:
        """Run the Go toolchain in a folder, with a progress line every PROGRESS_S seconds."""
        if shutil.which("go") is None:
            raise ClusterError(
                f"Go is needed to build {what[0]} and is not on PATH: install Go 1.26 or newer "
                "(https://go.dev/doc/install) and run the command again."
            )
        log = self._folder / f"{name}.log"
        self._say(f"Building {what[0]} from source, once: about {what[1]} (log: {log}).")
        began = time.monotonic()
        environment = {**os.environ, "CGO_ENABLED": "0", **extra}
        with log.open("w") as output:
            process = subprocess.Popen(argv, cwd=folder, env=environment, stdout=output, stderr=output)
            status = self._watch(process, what[0], began)
        if status:
            tail = "\n  ".join(log.read_text(errors="replace").splitlines()[-12:])
            raise ClusterError(
                f"Building {what[0]} failed; Go needs its module proxy. The end of {log}:\n  {tail}"
            )
        self._say(f"Built {what[0]} in {time.monotonic() - began:.0f} s.")

    def _watch(self, process: subprocess.Popen[bytes], what: str, began: float) -> int:
        try:
            while True:
                try:
                    return process.wait(PROGRESS_S)
                except subprocess.TimeoutExpired:
                    self._say(f"  still building {what}: {time.monotonic() - began:.0f} s")
        finally:
            if process.poll() is None:  # interrupted: leave no compiler behind
                process.terminate()
                process.wait()


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
