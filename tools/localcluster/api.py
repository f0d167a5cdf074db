"""The few requests this package makes to a cluster's API server."""

import ssl
from typing import Any

import httpx

from tools.localcluster.certificates import Pair
from tools.localcluster.errors import ClusterError
from tools.localcluster.settings import API_URL

FIELD_MANAGER = "kaito-localcluster"
Json = dict[str, Any]


class Api:
    """A client of one API server, for the owner of a certificate.

    Args:
        ca: path of the server's CA certificate.
        pair: the client's certificate and key.
        url: the server.
    """

    def __init__(self, ca: str, pair: Pair, url: str = API_URL) -> None:
        context = ssl.create_default_context(cafile=ca)
        context.load_cert_chain(pair.certificate, pair.key)
        # trust_env: a proxy of the user's must not be asked for an address on this very machine.
        self._client = httpx.Client(base_url=url, verify=context, timeout=10, trust_env=False)

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def healthy(self, url: str = "/readyz") -> bool:
        """Ask a health endpoint, of the API server or (absolute) of any server with our CA's certificate."""
        try:
            return self._client.get(url, timeout=2).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def get(self, path: str) -> Json | None:
        """Read an object or a list; None when there is none."""
        response = self._send("GET", path)
        return None if response.status_code == httpx.codes.NOT_FOUND else _body(response)

    def apply(self, path: str, manifest: Json) -> Json:
        """Create or change an object by server-side apply."""
        query = f"?fieldManager={FIELD_MANAGER}&force=true"
        return _body(self._send("PATCH", path + query, manifest, "application/apply-patch+yaml"))

    def merge(self, path: str, patch: Json) -> Json:
        """Change an object by a JSON merge patch."""
        return _body(self._send("PATCH", path, patch, "application/merge-patch+json"))

    def delete(self, path: str) -> None:
        """Delete an object; one that is gone already is fine."""
        response = self._send("DELETE", path)
        if response.status_code != httpx.codes.NOT_FOUND:
            _body(response)

    def _send(self, method: str, path: str, body: Json | None = None, kind: str = "") -> httpx.Response:
        headers = {"Content-Type": kind} if kind else {}
        try:
            return self._client.request(method, path, json=body, headers=headers)
        except httpx.HTTPError as error:
            raise ClusterError(
                f"The API server at {self._client.base_url} does not answer ({error!r}): "
                "python -m tools.localcluster up repairs it."
            ) from None


def _body(response: httpx.Response) -> Json:
    if response.is_error:
        raise ClusterError(
            f"The API server refused {response.request.method} {response.request.url.path} "
            f"with {response.status_code}: {response.text[:500]}"
        )
    found: Json = response.json()
    return found
