"""Ask a served model a question from inside the cluster: a short-lived pod POSTs to the Service by name."""

import json
import time
from dataclasses import dataclass

from tools.kubectl import Kubectl

# Runs in the pod. The question comes as an argument and is never part of the program text.
_CLIENT = """
import json, sys, urllib.request
url, question = sys.argv[1:3]
body = json.dumps({"prompt": question, "generate_kwargs": {"max_new_tokens": 40, "do_sample": False}})
request = urllib.request.Request(url, body.encode(), {"Content-Type": "application/json"})
with urllib.request.urlopen(request, timeout=120) as response:
    print(json.load(response)["Result"])
"""


class NoAnswer(RuntimeError):  # noqa: N818 - a state rather than a fault
    """The pod that asked failed; the text holds its last words."""


@dataclass(frozen=True)
class Client:
    """Where questions are asked from.

    Attributes:
        image: any image with Python; the operator's is on the node already.
    """

    kubectl: Kubectl
    image: str
    namespace: str = "default"

    def ask(self, service: str, question: str, *, timeout_s: float = 150) -> str:
        """POST the question to http://<service>/chat from a pod. Returns the answer's text.

        Raises:
            NoAnswer: the pod failed or took too long.
        """
        name = f"ask-{service}"[:63]
        self._remove(name)
        pod = _pod(name, self.image, [f"http://{service}/chat", question])
        self.kubectl.run("apply", "-n", self.namespace, "-f", "-", stdin=json.dumps(pod))
        try:
            return self._result(name, timeout_s)
        finally:
            self._remove(name)

    def _remove(self, name: str) -> None:
        self.kubectl.run(
            "delete", "pod", name, "-n", self.namespace, "--ignore-not-found", "--grace-period=1"
        )

    def _result(self, name: str, timeout_s: float) -> str:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            phase = self.kubectl.get("pod", name, "-n", self.namespace)["status"].get("phase")
            if phase == "Succeeded":
                return self.kubectl.run("logs", name, "-n", self.namespace).strip()
            if phase == "Failed":
                break
            time.sleep(0.2)
        words = self.kubectl.run("logs", name, "-n", self.namespace, "--tail=5").strip()
        msg = f"pod {name} got no answer: {words or 'it did not start'}"
        raise NoAnswer(msg)


def _pod(name: str, image: str, arguments: list[str]) -> dict[str, object]:
    security = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "ask",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["python3", "-c", _CLIENT, *arguments],
                    "securityContext": {**security, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        },
    }
