"""How this process reaches the API server, taken from where kopf takes it.

kopf reads the pod's service account or a kubeconfig; the writes of `kube.client` use the same answer, so
that watches and writes can never talk to two different clusters.
"""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import kopf

TOKEN_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


class LoginError(RuntimeError):
    """No credentials were found; the text says where they were looked for."""


@dataclass(frozen=True)
class Credentials:
    """Address, trust and identity of one connection.

    Attributes:
        server: base URL without a trailing slash.
        tls: trust and client certificate; None for plain http.
        token: gives the bearer token of now; service account tokens are renewed on disk every hour.
    """

    server: str
    tls: ssl.SSLContext | None
    token: Callable[[], str | None]


def connection_info() -> kopf.ConnectionInfo:
    """The service account of the pod, else the kubeconfig of the environment.

    Raises:
        LoginError: when neither is there.
    """
    settings = kopf.OperatorSettings()
    try:
        info = kopf.login_with_service_account(settings=settings) or kopf.login_with_kubeconfig(
            settings=settings
        )
    except OSError as error:
        msg = f"the kubeconfig cannot be read: {error}; set KUBECONFIG to one that can"
        raise LoginError(msg) from error
    if info is None:
        msg = (
            "no way to reach a cluster: neither a service account is mounted in this pod nor does "
            "KUBECONFIG (or ~/.kube/config) name a cluster; set KUBECONFIG"
        )
        raise LoginError(msg)
    return info


def credentials() -> Credentials:
    """Everything `kube.client` needs to connect.

    Raises:
        LoginError: see `connection_info`.
    """
    info = connection_info()
    return Credentials(server=info.server.rstrip("/"), tls=_tls(info), token=_token_source(info))


def watch_session() -> kopf.AiohttpSession:
    """The connection that kopf watches through: the same address, identity and trust as `credentials`.

    Raises:
        LoginError: see `connection_info`.
    """
    info = connection_info()
    connector = aiohttp.TCPConnector(limit=0, ssl=_tls(info) or False)  # each watch keeps a connection
    session = aiohttp.ClientSession(connector=connector, headers=info.as_http_headers())
    return kopf.AiohttpSession(
        server=info.server, default_namespace=info.default_namespace, aiohttp_session=session
    )


def _token_source(info: kopf.ConnectionInfo) -> Callable[[], str | None]:
    if TOKEN_FILE.exists():
        return lambda: TOKEN_FILE.read_text(encoding="ascii").strip()
    return lambda: info.token


def _tls(info: kopf.ConnectionInfo) -> ssl.SSLContext | None:
    if not info.server.startswith("https"):
        return None
    context = info.as_ssl_context()
    # Python 3.13 refuses certificates without an authority key identifier, which many clusters' have. The
    # signature and the name are still checked.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
