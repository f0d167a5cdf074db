"""Two image registries on loopback: an open one, and one that asks for a password."""

import json
import secrets
import shutil
from dataclasses import asdict, dataclass, field

import yaml

from tools.localcluster.command import run
from tools.localcluster.paths import Paths, private_folder, write_private
from tools.localcluster.probes import answers
from tools.localcluster.processes import Daemon
from tools.localcluster.settings import OPEN_REGISTRY_PORT, PRIVATE_REGISTRY_PORT

PROGRAM = "docker-registry"
OPEN_REGISTRY = f"localhost:{OPEN_REGISTRY_PORT}"
PRIVATE_REGISTRY = f"localhost:{PRIVATE_REGISTRY_PORT}"


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


def configuration(port: int, folder: str, htpasswd: str | None) -> str:
    """Render a registry's configuration.

    Debian's own configuration names a folder as its password file and so answers everything with 400.
    """
    content: dict[str, object] = {
        "version": 0.1,
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": folder}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    if htpasswd:
        content["auth"] = {"htpasswd": {"realm": "kaito", "path": htpasswd}}
    return yaml.safe_dump(content, sort_keys=False)


def daemons(paths: Paths) -> list[Daemon]:
    """The open registry on port 5000 and the private one on port 5001."""
    return [
        _daemon(paths, "registry-open", OPEN_REGISTRY_PORT, None),
        _daemon(paths, "registry-private", PRIVATE_REGISTRY_PORT, _password_file(paths)),
    ]


def _password_file(paths: Paths) -> str:
    path = paths.config / "registry.htpasswd"
    if not path.exists():
        account = credentials(paths)
        # The password goes through standard input: arguments are readable for everybody on the machine.
        write_private(path, run("htpasswd", "-niB", account.username, given=account.password))
    return str(path)


def _daemon(paths: Paths, name: str, port: int, htpasswd: str | None) -> Daemon:
    config = paths.config / f"{name}.yaml"
    content = private_folder(paths.registry_content / name)
    write_private(config, configuration(port, str(content), htpasswd))
    program = shutil.which(PROGRAM) or PROGRAM
    healthy = 401 if htpasswd else 200  # a private registry that lets us in is not healthy
    url = f"http://127.0.0.1:{port}/v2/"
    return Daemon(name, [program, "serve", str(config)], lambda: answers(url, healthy))
