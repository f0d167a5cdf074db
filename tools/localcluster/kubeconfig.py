"""Kubeconfig files: written for our own cluster, read from anybody's."""

import base64
from pathlib import Path
from typing import Any

import yaml

from tools.localcluster.certificates import Authority, Pair
from tools.localcluster.errors import ClusterError
from tools.localcluster.paths import write_private
from tools.localcluster.settings import API_URL, NAME


def render(ca: bytes, certificate: bytes, key: bytes, server: str = API_URL) -> str:
    """Render a kubeconfig with everything inside, so that the file may be copied anywhere."""

    def encoded(pem: bytes) -> str:
        return base64.b64encode(pem).decode()

    user = {"client-certificate-data": encoded(certificate), "client-key-data": encoded(key)}
    cluster = {"certificate-authority-data": encoded(ca), "server": server}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": NAME, "cluster": cluster}],
        "users": [{"name": NAME, "user": user}],
        "contexts": [{"name": NAME, "context": {"cluster": NAME, "user": NAME}}],
        "current-context": NAME,
    }
    return yaml.safe_dump(content, sort_keys=False)


def write(path: Path, authority: Authority, pair: Pair) -> Path:
    """Write a kubeconfig for the owner of a certificate."""
    text = render(authority.ca.read_bytes(), pair.certificate.read_bytes(), pair.key.read_bytes())
    write_private(path, text)
    return path


def current_context(path: Path) -> str:
    """Read the name of the context that kubectl would use; ClusterError when the file cannot be read."""
    try:
        content: Any = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ClusterError(f"The kubeconfig {path} cannot be read ({error}): name another one.") from None
    name = content.get("current-context") if isinstance(content, dict) else None
    if not isinstance(name, str) or not name:
        raise ClusterError(
            f"The kubeconfig {path} names no current context: kubectl config use-context NAME."
        )
    return name
