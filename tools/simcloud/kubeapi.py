"""The few requests that node booters make to the cluster's API server, with a kubeconfig's identity."""

import base64
import ssl
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import yaml

from tools.simcloud.errors import SimCloudError

Json = dict[str, Any]
MERGE = "application/merge-patch+json"
TIMEOUT_S = 30.0


class KubeApi:
    """A client that threads may share.

    Args:
        kubeconfig: its current context is used; a client certificate or a token inside or beside it.

    Raises:
        SimCloudError: the file names no server, or an identity that this client does not know.
    """

    def __init__(self, kubeconfig: Path) -> None:
        cluster, user = _context(kubeconfig)
        headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
        self._http = httpx.Client(
            base_url=str(cluster["server"]),
            verify=_tls(cluster, user, kubeconfig.parent),
            headers=headers,
            timeout=TIMEOUT_S,
            trust_env=False,  # a proxy of the user's must not be asked for an address of a test cluster
        )

    def create(self, path: str, manifest: Json) -> bool:
        """POST an object to its collection; False where there is one of this name."""
        return self._send("POST", path, manifest, accepted=httpx.codes.CONFLICT)

    def merge(self, path: str, patch: Json) -> bool:
        """Change an object by a JSON merge patch; False where there is none."""
        return self._send("PATCH", path, patch, accepted=httpx.codes.NOT_FOUND)

    def delete(self, path: str) -> None:
        """Delete an object; one that is gone is fine."""
        self._send("DELETE", path, None, accepted=httpx.codes.NOT_FOUND)

    def exists(self, path: str) -> bool:
        """Say whether there is such an object."""
        return self._send("GET", path, None, accepted=httpx.codes.NOT_FOUND)

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def _send(self, verb: str, path: str, body: Json | None, *, accepted: int) -> bool:
        """Send a request and say whether it did what it says; False for the accepted error."""
        headers = {"Content-Type": MERGE if verb == "PATCH" else "application/json"} if body else {}
        try:
            answer = self._http.request(verb, path, json=body, headers=headers)
        except httpx.HTTPError as error:
            raise SimCloudError(
                f"The API server at {self._http.base_url} does not answer {verb} {path} ({error!r}): "
                "is the cluster of the kubeconfig up?"
            ) from None
        if answer.is_error and answer.status_code != accepted:
            raise SimCloudError(
                f"The API server refused {verb} {path} with {answer.status_code}: {answer.text[:500]}"
            )
        return not answer.is_error


def _context(kubeconfig: Path) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Read cluster and user of the current context."""
    try:
        content = yaml.safe_load(kubeconfig.read_text())
        named = {
            kind: {item["name"]: item[kind] for item in content[f"{kind}s"]}
            for kind in ("cluster", "user", "context")
        }
        context = named["context"][content["current-context"]]
        return named["cluster"][context["cluster"]], named["user"][context["user"]]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise SimCloudError(
            f"The kubeconfig {kubeconfig} cannot be used ({error!r}): name one with a current context."
        ) from None


def _tls(cluster: Mapping[str, Any], user: Mapping[str, Any], folder: Path) -> ssl.SSLContext | bool:
    if not str(cluster["server"]).startswith("https"):
        return False
    ca = _material(cluster, "certificate-authority", folder)
    context = ssl.create_default_context(cadata=ca.decode() if ca else None)
    certificate = _material(user, "client-certificate", folder)
    key = _material(user, "client-key", folder)
    if certificate and key:
        with tempfile.NamedTemporaryFile(suffix=".pem") as pem:  # ssl reads a client's pair from files only
            pem.write(certificate + b"\n" + key)
            pem.flush()
            context.load_cert_chain(pem.name)
    elif "token" not in user:
        raise SimCloudError(
            "The kubeconfig's user has neither a client certificate nor a token: name a kubeconfig with one."
        )
    return context


def _material(source: Mapping[str, Any], name: str, folder: Path) -> bytes | None:
    if data := source.get(f"{name}-data"):
        return base64.b64decode(str(data))
    if path := source.get(name):
        return (folder / str(path)).read_bytes()
    return None
