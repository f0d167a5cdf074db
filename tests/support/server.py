"""A served model, asked from this machine at the address of its Service, as kube-proxy sends it on."""

from typing import Any

import httpx

from tests.support.kube import Api, Obj

GREEDY = {"do_sample": False, "max_new_tokens": 24}


class Server:
    """The Service of one Workspace. `key` is sent as its API key, unless it is empty."""

    def __init__(self, api: Api, namespace: str, name: str, *, key: str = "") -> None:
        self._api, self._namespace, self._name = api, namespace, name
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    def get(self, path: str) -> httpx.Response:
        """GET, whatever the answer."""
        return httpx.get(self._url(path), headers=self._headers, timeout=60, trust_env=False)

    def post(self, path: str, body: Obj) -> httpx.Response:
        """POST, whatever the answer."""
        return httpx.post(self._url(path), json=body, headers=self._headers, timeout=120, trust_env=False)

    def ask(self, question: str, **body: Any) -> str:
        """The model's greedy answer to a question by /chat; `model` chooses who answers."""
        answer = self.post("/chat", {"prompt": question, "generate_kwargs": GREEDY, **body})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["Result"])

    def models(self) -> dict[str, Obj]:
        """The entries of /v1/models by their names."""
        answer = self.get("/v1/models")
        assert answer.status_code == 200, answer.text
        return {entry["id"]: entry for entry in answer.json()["data"]}

    def _url(self, path: str) -> str:
        service = self._api.get("services", self._namespace, self._name)
        return f"http://{service['spec']['clusterIP']}{path}"
