"""Ask a registry for manifests and blobs, by the oras library.

The library does the sign-in (basic, or a token from the address that the registry names). What it lacks is
here: time-outs, the choice among several accounts, the status behind its ValueError, a new token when the old
one ran out. Its own `pull` is not used, since it verifies no digest and keeps layers in memory.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import oras.logger
import oras.provider
import requests
import urllib3
from typing_extensions import override

from inference_server.adapter_sync.credentials import Credential
from inference_server.adapter_sync.errors import (
    AdapterDenied,
    AdapterImageBad,
    AdapterImageNotFound,
    AdapterTooLarge,
    PullError,
    RegistryUnreachable,
)
from inference_server.adapter_sync.reference import Reference

CHUNK_BYTES: Final = 1 << 20
_MANIFEST_LIMIT: Final = 4 << 20  # registries accept no larger ones
_TIMEOUT_S: Final = (10.0, 60.0)  # to connect, and between two pieces of an answer
_ACCEPT: Final = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
# The library's logger prints in its own form, and at "debug" the answers of token servers.
oras.logger.logger.set_level(logging.CRITICAL)


@dataclass(frozen=True)
class Blob:
    """A piece of an image by its content: `digest` is "sha256:...", `size` in bytes."""

    digest: str
    size: int


class _Session(requests.Session):
    """A session whose requests end, and that tells what the last one was answered."""

    def __init__(self) -> None:
        super().__init__()
        self.last: requests.Response | None = None

    @override
    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        kwargs.setdefault("timeout", _TIMEOUT_S)
        self.last = super().request(*args, **kwargs)
        return self.last


class Repository:
    """One repository of one registry, read with the first account that the registry accepts."""

    def __init__(self, reference: Reference, credentials: list[Credential], *, insecure: bool) -> None:
        self._reference = reference
        self._accounts: list[Credential | None] = [*credentials, None]
        self._insecure = insecure
        self._base = f"{'http' if insecure else 'https'}://{reference.address}/v2/"
        self._client: Any = None  # oras.provider.Registry: the library has no types

    def manifest(self, version: str) -> bytes:
        """Return the manifest or index of a tag or digest, as the registry has it.

        Raises:
            PullError: any of them.
        """
        with self._answer(f"manifests/{version}", {"Accept": _ACCEPT}) as response:
            body = b""
            for chunk in response.iter_content(CHUNK_BYTES):
                body += chunk
                if len(body) > _MANIFEST_LIMIT:
                    raise AdapterImageBad("the image's manifest is larger than 4 MiB; push the image anew")
            return body

    def blob(self, blob: Blob) -> Iterator[bytes]:
        """Yield the content in pieces of at most 1 MiB.

        Raises:
            RegistryUnreachable: also when the content has another digest or size: a torn connection.
            PullError: any other.
        """
        sha, size = hashlib.sha256(), 0
        with self._answer(f"blobs/{blob.digest}", {"Accept-Encoding": "identity"}) as response:
            for chunk in response.iter_content(CHUNK_BYTES):
                size += len(chunk)
                if size > blob.size:
                    raise AdapterTooLarge(
                        f"layer {blob.digest} is larger than its manifest says; push it anew"
                    )
                sha.update(chunk)
                yield chunk
        if size != blob.size or f"sha256:{sha.hexdigest()}" != blob.digest:
            raise RegistryUnreachable(f"layer {blob.digest} arrived damaged; it is pulled again")

    @contextmanager
    def _answer(self, path: str, headers: dict[str, str]) -> Iterator[requests.Response]:
        try:
            response = self._ask(path, headers)
            with response:
                yield response
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise RegistryUnreachable(
                f"{self._reference.host} does not answer ({type(error).__name__}); it is asked again. "
                "Check its name, its certificate and the network of the namespace"
            ) from None

    def _ask(self, path: str, headers: dict[str, str]) -> requests.Response:
        url = f"{self._base}{self._reference.repository}/{path}"
        while True:
            client = self._client or self._sign_in(self._accounts[0])
            response = _request(client, url, headers)
            if response.status_code == 401 and client is self._client and client.auth.token:
                client.auth.token = None  # it ran out; the library would send it again
                response = _request(client, url, headers)
            if response.status_code in {401, 403} and len(self._accounts) > 1:
                response.close()
                self._accounts.pop(0)
                self._client = None
                continue
            if response.status_code == 200:
                self._client = client
                return response
            response.close()
            raise self._refusal(response)

    def _sign_in(self, account: Credential | None) -> Any:  # noqa: ANN401
        """Make a client for the way of signing in that the registry asks for."""
        session = _Session()
        challenge = session.get(self._base).headers.get("Www-Authenticate", "")
        basic = challenge.lower().startswith("basic")
        client = oras.provider.Registry(
            self._reference.address, self._insecure, auth_backend="basic" if basic and account else "token"
        )
        # The library's jar takes no cookies: some registries treat those who do as browsers.
        session.cookies = client.session.cookies
        client.session = client.auth.session = session
        client.auth.token = None
        if account:
            client.auth.set_basic_auth(account.username, account.password)
        elif basic:
            # The library would take the realm of a password for the address of a token server.
            client.auth.authenticate_request = _give_up
        return client

    def _refusal(self, response: requests.Response) -> PullError:
        image, status = f"{self._reference.host}/{self._reference.repository}", response.status_code
        if status in {401, 403}:
            return AdapterDenied(
                f"{self._reference.host} answered {status} for {self._reference.repository} to every "
                "account at hand; name a Secret with a valid account in imagePullSecrets"
            )
        if status == 404:
            return AdapterImageNotFound(
                f"{image} has no {self._reference.version}; check the name and the tag, or push it"
            )
        if status == 429 or status >= 500:
            text = f"{self._reference.host} answered {status}; it is asked again"
            return RegistryUnreachable(text, _retry_after(response.headers.get("Retry-After")))
        return AdapterImageBad(
            f"{self._reference.host} answered {status} for {image}; check the image's name"
        )


def _give_up(_response: requests.Response, headers: dict[str, str]) -> tuple[dict[str, str], bool]:
    return headers, False


def _request(client: Any, url: str, headers: dict[str, str]) -> requests.Response:  # noqa: ANN401
    """Make one request, with sign-in. The library's own retries sleep for minutes; ours are in sync.py."""
    session: _Session = client.session
    once = oras.provider.Registry.do_request.__wrapped__
    try:
        response: requests.Response = once(client, url, "GET", headers=dict(headers), stream=True)
    except ValueError as error:  # it could not sign in, and says no more
        if isinstance(error, requests.RequestException) or session.last is None:
            raise
        response = session.last
    return response


def _retry_after(text: str | None) -> float | None:
    """Read the header: seconds, or a date."""
    if not text:
        return None
    if text.isdecimal():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
