"""The API server as tests see it: JSON in, JSON out, and waiting for a state of the world."""

import base64
import ssl
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import httpx
import yaml

Obj = dict[str, Any]
T = TypeVar("T")
MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"

_ROOTS = {
    "namespaces": "/api/v1",
    "pods": "/api/v1",
    "nodes": "/api/v1",
    "services": "/api/v1",
    "events": "/api/v1",
    "configmaps": "/api/v1",
    "secrets": "/api/v1",
    "resourcequotas": "/api/v1",
    "persistentvolumeclaims": "/api/v1",
    "persistentvolumes": "/api/v1",
    "serviceaccounts": "/api/v1",
    "deployments": "/apis/apps/v1",
    "replicasets": "/apis/apps/v1",
    "statefulsets": "/apis/apps/v1",
    "machines": "/apis/karpenter.sh/v1alpha5",
    "nodeclaims": "/apis/karpenter.sh/v1",
    "leases": "/apis/coordination.k8s.io/v1",
    "workspaces": "/apis/kaito.sh/v1alpha1",
}


class ApiFailure(AssertionError):  # noqa: N818 - an answer that a test may expect
    """The API server refused; `status` is the HTTP code."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class Api:
    """A client with the kubeconfig's identity."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        context = ssl.create_default_context(cadata=_decoded(cluster, "certificate-authority").decode())
        with tempfile.NamedTemporaryFile(suffix=".pem") as pem:
            pem.write(_decoded(user, "client-certificate") + b"\n" + _decoded(user, "client-key"))
            pem.flush()
            context.load_cert_chain(pem.name)
        self._http = httpx.Client(base_url=cluster["server"], verify=context, timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def request(self, verb: str, path: str, body: Any = None, **options: Any) -> Obj:
        """One request.

        Raises:
            ApiFailure: when the answer is an error.
        """
        content_type = options.pop("content_type", "application/json")
        headers = {"Content-Type": content_type} if body else {}
        answer = self._http.request(verb, path, json=body, params=options, headers=headers)
        for pause_s in (0.5, 1.0, 2.0, 4.0):
            if answer.status_code != 429:
                break
            time.sleep(pause_s)  # said for a second after a definition was changed: nothing was done
            answer = self._http.request(verb, path, json=body, params=options, headers=headers)
        if answer.status_code >= 400:
            raise ApiFailure(answer.status_code, answer.json().get("message", answer.text))
        return dict(answer.json())

    def path(self, plural: str, namespace: str | None = None, name: str | None = None) -> str:
        """URL path of a collection or an object."""
        scope = f"/namespaces/{namespace}" if namespace else ""
        return f"{_ROOTS[plural]}{scope}/{plural}" + (f"/{name}" if name else "")

    def create(self, plural: str, namespace: str | None, obj: Obj) -> Obj:
        """POST."""
        return self.request("POST", self.path(plural, namespace), obj)

    def get(self, plural: str, namespace: str | None, name: str) -> Obj:
        """GET one object."""
        return self.request("GET", self.path(plural, namespace, name))

    def find(self, plural: str, namespace: str | None, name: str) -> Obj | None:
        """GET one object, None when it does not exist."""
        try:
            return self.get(plural, namespace, name)
        except ApiFailure as failure:
            if failure.status == 404:
                return None
            raise

    def list(self, plural: str, namespace: str | None = None, **query: str) -> list[Obj]:
        """LIST."""
        return list(self.request("GET", self.path(plural, namespace), **query)["items"])

    def merge(self, plural: str, namespace: str | None, name: str, patch: Obj, sub: str = "") -> Obj:
        """PATCH by merge; `sub` is a subresource such as /status."""
        path = self.path(plural, namespace, name) + sub
        return self.request("PATCH", path, patch, content_type=MERGE)

    def delete(self, plural: str, namespace: str | None, name: str, **query: str) -> None:
        """DELETE; fine when it is gone."""
        try:
            self.request("DELETE", self.path(plural, namespace, name), **query)
        except ApiFailure as failure:
            if failure.status != 404:
                raise


def _decoded(entry: Obj, field: str) -> bytes:
    if data := entry.get(f"{field}-data"):
        return base64.b64decode(data)
    return Path(entry[field]).read_bytes()


def eventually(
    look: Callable[[], T | Literal[False] | None],
    *,
    timeout_s: float = 30.0,
    what: Callable[[], Any] | str = "",
) -> T:
    """The first truthy value of `look`.

    Raises:
        AssertionError: after the timeout, with `what` (called, if it can be) as the last thing seen.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        if value := look():
            return value
        if time.monotonic() > deadline:
            seen = what() if callable(what) else what
            msg = f"not so after {timeout_s} s: {seen}"
            raise AssertionError(msg)
        time.sleep(0.05)


def condition(workspace: Obj | None, kind: str) -> Obj:
    """A condition of an object, empty when it has none of this type."""
    for entry in (workspace or {}).get("status", {}).get("conditions", ()):
        if entry["type"] == kind:
            return dict(entry)
    return {}
