"""Two image registries: an open one, and one that asks for a password.

Each listens twice with the same content: on loopback for this machine's builders, and on the first node's
bridge, where pods reach it too. A kubelet and a pod that are to pull the same image need one name for it.
"""

import json
import secrets
import shutil
from dataclasses import asdict, dataclass, field
from ipaddress import IPv4Address

import yaml

from tools.localcluster.command import run
from tools.localcluster.paths import Paths, private_folder, write_private
from tools.localcluster.probes import answers
from tools.localcluster.processes import Daemon
from tools.localcluster.settings import (
    CONTROL_PLANE,
    LOOPBACK,
    OPEN_REGISTRY_FOR_PODS,
    OPEN_REGISTRY_PORT,
    PRIVATE_REGISTRY_FOR_PODS,
    PRIVATE_REGISTRY_PORT,
)

PROGRAM = "docker-registry"
OPEN_REGISTRY = f"localhost:{OPEN_REGISTRY_PORT}"
PRIVATE_REGISTRY = f"localhost:{PRIVATE_REGISTRY_PORT}"
REGISTRIES = (OPEN_REGISTRY, PRIVATE_REGISTRY, OPEN_REGISTRY_FOR_PODS, PRIVATE_REGISTRY_FOR_PODS)


@dataclass(frozen=True)
class Credentials:
    """How to sign in to the private registry."""

    registry: str
    username: str
    password: str = field(repr=False)  # test runners print the values of failed assertions


def credentials(paths: Paths) -> Credentials:
    """Read the private registry's account, generated at the first call of a cluster's life."""
    path = paths.config / "registry-private.json"
    if not path.exists():
        account = Credentials(PRIVATE_REGISTRY, "kaito", secrets.token_urlsafe(18))
        write_private(path, json.dumps(asdict(account)))
    return Credentials(**json.loads(path.read_text()))


def configuration(address: IPv4Address, port: int, folder: str, htpasswd: str | None) -> str:
    """Render the configuration of a registry that listens on one address of this machine.

    Debian's own configuration names a folder as its password file and so answers everything with 400.
    """
    content: dict[str, object] = {
        "version": 0.1,
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": folder}, "delete": {"enabled": True}},
        "http": {"addr": f"{address}:{port}"},
    }
    if htpasswd:
        content["auth"] = {"htpasswd": {"realm": "kaito", "path": htpasswd}}
    return yaml.safe_dump(content, sort_keys=False)


def daemons(paths: Paths) -> list[Daemon]:
    """The open registry on port 5000 and the private one on port 5001, each on both addresses."""
    password_file = _password_file(paths)
    return [
        Listening(paths, name, address, port, htpasswd).daemon()
        for name, port, htpasswd in (
            ("registry-open", OPEN_REGISTRY_PORT, None),
            ("registry-private", PRIVATE_REGISTRY_PORT, password_file),
        )
        for address in (LOOPBACK, CONTROL_PLANE)
    ]


def _password_file(paths: Paths) -> str:
    path = paths.config / "registry.htpasswd"
    if not path.exists():
        account = credentials(paths)
        # The password goes through standard input: arguments are readable for everybody on the machine.
        write_private(path, run("htpasswd", "-niB", account.username, given=account.password))
    return str(path)


@dataclass(frozen=True)
class Listening:
    """A registry on one of its addresses: a process, since the program takes one address only.

    Attributes:
        name: of the registry; its content lies in the folder of this name.
        htpasswd: file of accounts; None lets everybody in.
    """

    paths: Paths
    name: str
    address: IPv4Address
    port: int
    htpasswd: str | None

    def daemon(self) -> Daemon:
        """The process, with its configuration written."""
        name = self.name if self.address == LOOPBACK else f"{self.name}-for-pods"
        config = self.paths.config / f"{name}.yaml"
        content = private_folder(self.paths.registry_content / self.name)
        write_private(config, configuration(self.address, self.port, str(content), self.htpasswd))
        program = shutil.which(PROGRAM) or PROGRAM
        healthy = 401 if self.htpasswd else 200  # a private registry that lets us in is not healthy
        url = f"http://{self.address}:{self.port}/v2/"
        return Daemon(name, [program, "serve", str(config)], lambda: answers(url, healthy))
