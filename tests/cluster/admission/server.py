"""The API server as these tests see it: requests, answers, CRDs in a group of the tests' own."""

import copy
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kubernetes.client import ApiClient

from kaito_operator.api import labels

Manifest = dict[str, Any]

DEADLINE_S = 30.0
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
MERGE_PATCH = "application/merge-patch+json"


@dataclass(frozen=True)
class Answer:
    """What the API server said: its status code, and the object or the Status."""

    code: int
    body: Manifest

    @property
    def message(self) -> str:
        """The sentence of a refusal."""
        return str(self.body.get("message", ""))


@dataclass(frozen=True)
class Server:
    """One API server."""

    client: ApiClient

    def send(self, method: str, path: str, body: Manifest | None = None, **query: str) -> Answer:
        """Send one request; a refusal is an answer too."""
        call = self.client.param_serialize(
            method,
            path,
            query_params=list(query.items()),
            header_params={
                "Accept": "application/json",
                "Content-Type": MERGE_PATCH if method == "PATCH" else "application/json",
            },
            body=body,
            auth_settings=["BearerToken"],
        )
        response = self.client.call_api(*call)
        text = response.read().decode()
        # A path that is not served is answered in plain text, whatever was asked for.
        plain = not response.headers["Content-Type"].startswith("application/json")
        return Answer(response.status, {"message": text} if plain else json.loads(text))

    def ask(self, method: str, path: str, body: Manifest) -> Answer:
        """Whether the request would be admitted, unknown fields refused, nothing stored."""
        return self.send(method, path, body, dryRun="All", fieldValidation="Strict")

    def must(self, method: str, path: str, body: Manifest | None = None) -> Manifest:
        """Send a request that has to succeed; AssertionError with the server's words when it does not."""
        answer = self.send(method, path, body)
        assert answer.code < 300, f"{method} {path}: {answer.code} {answer.message}"
        return answer.body


@dataclass(frozen=True)
class Workspaces:
    """The Workspaces of the default namespace, under a group that no operator watches."""

    server: Server
    group: str

    def path(self, name: str = "", subresource: str = "") -> str:
        """Path of the collection, of one object, or of its subresource."""
        base = f"/apis/{self.group}/{labels.VERSION}/namespaces/default/{labels.PLURAL}"
        return "/".join(filter(None, (base, name, subresource)))

    def typed(self, manifest: Manifest) -> Manifest:
        """The manifest under this group."""
        return {**manifest, "apiVersion": f"{self.group}/{labels.VERSION}", "kind": labels.KIND}


def own_group(purpose: str) -> str:
    """An API group of this test process: two of them may run beside each other."""
    return f"{purpose}-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}.kaito.sh"


def in_group(crd: Manifest, group: str) -> Manifest:
    """The CRD under another group and without short names, so that it meets nothing else in the cluster."""
    crd = copy.deepcopy(crd)
    crd["metadata"]["name"] = f"{labels.PLURAL}.{group}"
    crd["spec"]["group"] = group
    crd["spec"]["names"].pop("shortNames", None)
    return crd


def install(server: Server, crd: Manifest) -> None:
    """Create the CRD, in the place of what an interrupted run may have left, and wait until it is served."""
    name = crd["metadata"]["name"]
    uninstall(server, name)
    server.must("POST", CRDS, crd)
    version = crd["spec"]["versions"][0]["name"]
    listing = f"/apis/{crd['spec']['group']}/{version}/{labels.PLURAL}"
    until(lambda: server.send("GET", listing).code == 200, f"{name} is served")


def upgrade(server: Server, crd: Manifest) -> None:
    """Put the CRD in the place of the installed one of its name."""
    server.must("PATCH", f"{CRDS}/{crd['metadata']['name']}", {"spec": crd["spec"]})


def uninstall(server: Server, name: str) -> None:
    """Delete the CRD with its objects, and wait until it is gone."""
    server.send("DELETE", f"{CRDS}/{name}")
    until(lambda: server.send("GET", f"{CRDS}/{name}").code == 404, f"{name} is gone")


def until(condition: Callable[[], bool], what: str) -> None:
    """Ask again until the condition holds; AssertionError after 30 s."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"after {DEADLINE_S:.0f} s still not so: {what}"
        time.sleep(0.05)
