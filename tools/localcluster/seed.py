"""The images that a new node begins with: those of the first node, without copying them.

Pulling and unpacking the runtime image anew for every node would take most of a test's time, and disk for
each. Layers and blobs never change once they are written, so all nodes of a machine can read the same ones:
blobs are linked, layers are pointed to, and only containerd's two small databases are copied. The first node
removes no image while the cluster is up (kubelet.py switches that off), and is the last to go.

What the databases say of the first node's containers is then removed from the copy, by a containerd of its
own that knows nothing of pods and so touches nothing of those that run.
"""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from tools.localcluster import cgroups
from tools.localcluster.containerd import UNUSED_PLUGINS, Containerd
from tools.localcluster.errors import ClusterError
from tools.localcluster.paths import NodePaths, private_folder, write_private
from tools.localcluster.probes import listens
from tools.localcluster.processes import Daemon, Processes

# Containerd's own layout below its root (docs/content-flow.md and docs/ops.md of containerd 2).
DATABASES = (
    Path("io.containerd.metadata.v1.bolt/meta.db"),
    Path("io.containerd.snapshotter.v1.overlayfs/metadata.db"),
)
LAYERS = Path("io.containerd.snapshotter.v1.overlayfs/snapshots")
BLOBS = Path("io.containerd.content.v1.content/blobs/sha256")
# With these off it is a store of images and knows no pods.
POD_PLUGINS = (
    "io.containerd.grpc.v1.cri",
    "io.containerd.cri.v1.runtime",
    "io.containerd.cri.v1.images",
    "io.containerd.podsandbox.controller.v1.podsandbox",
)
ATTEMPTS = 50


@dataclass(frozen=True)
class Content:
    """What a containerd's root holds at one moment.

    Attributes:
        databases: bytes of DATABASES, in their order.
        layers: names of the folders with layers; numbers.
        blobs: digests without their ``sha256:``.
    """

    databases: tuple[bytes, ...]
    layers: tuple[str, ...]
    blobs: tuple[str, ...]


def daemon_name(node: str) -> str:
    """Name the daemon record of the containerd that tidies a node's first images."""
    return f"images-{node}"


def plant(source: Path, name: str, node: NodePaths, programs: Path, processes: Processes) -> None:
    """Give a node that has no containerd root yet the images of another one.

    An interrupted call leaves nothing under the node's own root, and may be repeated.

    Args:
        source: root of the containerd that has the images; it may be running.
        name: of the new node.
        node: its folders.
        programs: folder with containerd and ctr.
        processes: the cluster's daemons.

    Raises:
        ClusterError: the source does not come to rest, or the copy cannot be tidied.
    """
    processes.stop(daemon_name(name))
    growing = replace(node, images=node.images.with_name("containerd.new"), run=node.run / "images")
    # Of a call that was interrupted; its socket must not answer for the new one.
    for folder in (growing.run, growing.images):
        shutil.rmtree(folder, ignore_errors=True)
    write_copy(read_settled(source), source, growing.images)
    daemon = _daemon(name, growing, programs)
    processes.start(daemon)
    processes.wait_ready(daemon)
    store = Containerd(name, growing, programs)
    if not store.remove_containers():
        raise ClusterError(
            f"The images for node {name} could not be taken from {source}: containers are left in the copy. "
            f"Run the command again. {processes.last_words(daemon.name)}"
        )
    processes.stop(daemon.name)
    shutil.rmtree(growing.run, ignore_errors=True)
    growing.images.rename(node.images)


def available(root: Path) -> bool:
    """Say whether a containerd has ever worked with this root."""
    return all((root / path).exists() for path in DATABASES)


def read_settled(root: Path) -> Content:
    """Read a root that may be in use, as it was at one moment.

    Two equal readings in a row say that nothing changed between the end of the first and the beginning
    of the second. Containerd's databases are whole at every moment: a transaction writes
    new pages beside the old ones and then turns to them in one write.

    Raises:
        ClusterError: it never rests.
    """
    before = _read(root)
    for _ in range(ATTEMPTS):
        now = _read(root)
        if now == before:
            return now
        before = now
    raise ClusterError(
        f"Images in {root} change all the time: wait until nothing is pulled or loaded, "
        "then add the node again."
    )


def _read(root: Path) -> Content:
    return Content(
        databases=tuple((root / path).read_bytes() for path in DATABASES),
        layers=tuple(sorted(path.name for path in (root / LAYERS).iterdir() if path.name.isdecimal())),
        blobs=tuple(sorted(path.name for path in (root / BLOBS).iterdir())),
    )


def write_copy(content: Content, source: Path, target: Path) -> None:
    """Write a root that holds the same and shares all but the databases.

    Args:
        content: of the source.
        source: root that stays in place as long as the copy is used.
        target: the new root.
    """
    for path, data in zip(DATABASES, content.databases, strict=True):
        private_folder((target / path).parent)
        (target / path).write_bytes(data)
        (target / path).chmod(0o600)
    private_folder(target / LAYERS)
    for layer in content.layers:
        # Removing a layer removes this link; those of running containers go so, a moment later.
        (target / LAYERS / layer).symlink_to(source / LAYERS / layer)
    private_folder(target / BLOBS)
    for blob in content.blobs:
        (target / BLOBS / blob).hardlink_to(source / BLOBS / blob)


def configuration(node: NodePaths) -> str:
    """Render the configuration of a containerd that only keeps images."""
    unused = ", ".join(f'"{name}"' for name in (*UNUSED_PLUGINS, *POD_PLUGINS))
    return f"""\
version = 3
root = "{node.images}"
state = "{node.containerd_state}"
temp = "{node.run}/temp"
imports = []
disabled_plugins = [{unused}]

[grpc]
address = "{node.socket}"
"""


def _daemon(name: str, node: NodePaths, programs: Path) -> Daemon:
    private_folder(node.run)
    config = node.config / "images.toml"
    write_private(config, configuration(node))
    return Daemon(
        daemon_name(name),
        [str(programs / "containerd"), "--config", str(config)],
        lambda: listens(node.socket),
        group=cgroups.runtime_group(name),
    )
