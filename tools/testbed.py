"""The cluster tier's ground: `up` prepares it, `down` removes it, `run` does both around the tests.

`up` leaves .local/testbed.json, which tells the tests where everything is.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.demo import cloud
from tools.images.build import build_all
from tools.images.errors import ImageError
from tools.images.recipes import content_tag, load_recipes
from tools.images.weights import weights_context
from tools.install import uninstall
from tools.kubectl import Kubectl, KubectlError
from tools.localcluster import Cluster, ClusterError, preflight
from tools.localcluster.paths import cache_folder
from tools.localcluster.registry import OPEN_REGISTRY, PRIVATE_REGISTRY
from tools.localcluster.settings import OPEN_REGISTRY_FOR_PODS, PRIVATE_REGISTRY_FOR_PODS

CHECKOUT = Path(__file__).resolve().parent.parent
DESCRIPTION = CHECKOUT / ".local" / "testbed.json"
IMAGES = ("operator", "inference-cpu", "weights-smollm2", "device-plugin")
VERSIONS = ("1.36", "1.34")


def main() -> int:
    """Exit codes: those of pytest; 1 also when the cluster could not be prepared."""
    parser = argparse.ArgumentParser(prog="python -m tools.testbed", description=__doc__)
    parser.add_argument("what", choices=["up", "down", "run"])
    parser.add_argument("--kubernetes", choices=VERSIONS, default=VERSIONS[0])
    parser.add_argument("--full", action="store_true", help="the long matrices, and every Kubernetes version")
    arguments = parser.parse_args()
    try:
        if arguments.what == "up":
            up(arguments.kubernetes)
        elif arguments.what == "down":
            down()
        else:
            return run(full=arguments.full)
    except (ClusterError, ImageError, KubectlError) as error:
        say(str(error))
        return 1
    return 0


def say(line: str) -> None:
    """One line of progress."""
    print(f"testbed: {line}", flush=True)


def run(*, full: bool) -> int:
    """All tests of this machine; the cluster is removed afterwards unless it was up before."""
    browser()
    try:
        preflight.check_platform()
    except ClusterError as reason:
        say(f"the cluster tier is skipped: {reason}")
        return _pytest(["tests"], full=full, KAITO_NO_CLUSTER=str(reason))
    was_up = Cluster(say=say).status().healthy
    code = _pytest(["tests/unit", "-q"], full=full)
    if code != 0:
        return code  # a minute saved: what is wrong here is wrong in the cluster too
    try:
        up(VERSIONS[0])
        code = _pytest(["tests"], full=full)
        for version in VERSIONS[1:] if full else ():
            down()
            up(version)
            code = _pytest(["tests/cluster"], full=full) or code
    finally:
        if not was_up:
            down()
    return code


def browser() -> None:
    """Install Debian's chromium for the tests of the chat page; they are skipped where that fails."""
    if shutil.which("chromium"):
        return
    is_debian = Path("/etc/debian_version").exists() and shutil.which("apt-get") is not None
    if not is_debian or os.geteuid() != 0:
        say("no chromium, so the tests of the chat page may be skipped. On Debian: apt-get install chromium")
        return
    say("installing the Debian package chromium (about 400 MB), for the tests of the chat page")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for argv in (["update"], ["install", "--yes", "--no-install-recommends", "chromium"]):
        command = ["apt-get", *argv]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            say(f"no chromium, the tests of the chat page are skipped: {' '.join(command)} failed:")
            say(done.stderr.strip()[-400:])
            return


def up(version: str) -> None:
    """Start the cluster, build and load the images, write down where everything is."""
    cluster = Cluster(version, say=say)
    cluster.up()
    images = build_all(OPEN_REGISTRY, IMAGES, say)
    for reference in images.values():
        cluster.load_image(reference)
    kubectl = Kubectl(cluster.kubeconfig)
    if kubectl.run("get", "namespace", "kaito-system", "--ignore-not-found"):
        say("removing the demo's operator, which would serve the tests' Workspaces too")
        _clear_demo(kubectl)
    private = cluster.registry_credentials
    (node,) = kubectl.get("nodes", "-l", "!test.kaito.sh/pool")["items"]
    addresses = {entry["type"]: entry["address"] for entry in node["status"]["addresses"]}
    DESCRIPTION.parent.mkdir(exist_ok=True)
    DESCRIPTION.touch(mode=0o600)
    DESCRIPTION.write_text(
        json.dumps(
            {
                "cluster": "local",
                "kubernetes": version,
                "kubeconfig": str(cluster.kubeconfig),
                "audit_log": str(cluster.audit_log),
                "registry": OPEN_REGISTRY,
                "private_registry": PRIVATE_REGISTRY,
                "registry_for_pods": OPEN_REGISTRY_FOR_PODS,
                "private_registry_for_pods": PRIVATE_REGISTRY_FOR_PODS,
                "private_user": private.username,
                "private_password": private.password,
                "node_address": addresses["InternalIP"],
                "images": images,
                "weights_folder": str(_weights_folder()),
            },
            indent=2,
        )
    )


def _clear_demo(kubectl: Kubectl) -> None:
    """Workspaces first, while those run that take their nodes away."""
    kubectl.run("delete", "workspaces", "--all", "--all-namespaces", "--wait=true")
    if kubectl.run("get", "crd", "machines.karpenter.sh", "--ignore-not-found"):
        kubectl.run("wait", "--for=delete", "machines", "--all", "--timeout=100s")
    uninstall(kubectl)
    cloud.stop()


def _weights_folder() -> Path:
    """The folder from which the weights image was made; the model lies in its folder weights."""
    recipe = load_recipes()["weights-smollm2"]
    if recipe.weights is None:
        msg = "tools/images/images.yaml: weights-smollm2 has lost its `weights`"
        raise ImageError(msg)
    return weights_context("weights-smollm2", recipe.weights, content_tag(recipe, ""), cache_folder(), say)


def down() -> None:
    """Remove the cluster."""
    DESCRIPTION.unlink(missing_ok=True)
    Cluster(say=say).down()


def _pytest(paths: Sequence[str], *, full: bool, **environment: str) -> int:
    marks = "not nothing" if full else "not full"
    command = [sys.executable, "-m", "pytest", *paths, "-m", marks]
    return subprocess.run(command, cwd=CHECKOUT, env={**os.environ, **environment}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
