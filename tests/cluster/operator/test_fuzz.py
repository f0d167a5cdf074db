"""Whatever the API server admits gets a status with a reason, a message and a next action, and no traceback.

Random objects from a fixed seed; about half are refused at admission, which is part of the claim.
"""

import random
from typing import Any

import pytest

from presets.catalog import load_catalog
from tests.support.kube import Api, ApiFailure, Obj, eventually
from tests.support.operator import OperatorProcess

COUNT = 150
NOWHERE = {"matchLabels": {"test.kaito.sh/place": "nowhere"}}


class Dice:
    """Random pieces of Workspaces, most of them plausible."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def pick(self, *options: Any) -> Any:
        return self._random.choice(options)

    def some(self, **fields: Any) -> Obj:
        """Some of these fields."""
        return {key: value for key, value in fields.items() if self._random.random() < 0.6}

    def options(self) -> Obj:
        return self.some(
            image=self.pick("localhost:5000/w:1", "reg.example/w@sha256:" + "a" * 64, "UPPER/w:1"),
            imagePullSecrets=["pull"],
            volumeClaim="claim",
            weightsPath=self.pick("/w", "w/x"),
            weightsFrom=self.pick("image", "volumeClaim", "hub"),
            modelAccessSecret="hf",
            trustRemoteCode=self.pick(True, False),
        )

    def preset(self) -> Obj:
        name = self.pick(*load_catalog(), "PHI-2", "no-such-model", "owner/model")
        more = self.some(accessMode=self.pick("public", "private"), presetOptions=self.options())
        return {"name": name, **more}

    def adapter(self) -> Obj:
        source = {"name": self.pick("a", "b", "c" * 60), "image": self.pick("r.io/a:1", "localhost:5000/a:2")}
        return {"source": source, **self.some(strength=self.pick("0", "1.0", ".5", "0.33"))}

    def template(self) -> Obj:
        container = {"name": self.pick("c", "Not A Name"), "image": self.pick("localhost:5000/i:1", "")}
        spec = {
            "containers": self.pick([container], [container, container], [{}]),
            **self.some(
                affinity=self.pick({}, {"nodeAffinity": {}}, "text", {"nodeAffinity": []}),
                tolerations=self.pick([], [{"operator": "Exists"}], "text", [1]),
                unknown=self.pick(1, {"a": [None]}),
            ),
        }
        return {"spec": spec, **self.some(metadata=self.pick({}, {"labels": {"a": "b"}}, {"labels": 7}, 7))}

    def workspace(self, number: int) -> Obj:
        resource = {
            "labelSelector": NOWHERE,
            **self.some(count=self.pick(1, 2, 9), instanceType="Standard_X"),
        }
        payload: Obj = {"resource": resource}
        shape = self.pick("preset", "preset", "preset", "template", "tuning")
        if shape == "preset":
            adapters = [self.adapter() for _ in range(self.pick(0, 0, 1, 2))]
            payload["inference"] = {"preset": self.preset(), **({"adapters": adapters} if adapters else {})}
        elif shape == "template":
            payload["inference"] = {"template": self.template()}
        else:
            payload["tuning"] = {
                "preset": {"name": self.pick("phi-2", "llama-2-7b", "nope")},
                "method": self.pick("lora", "QLoRA"),
                "input": {"urls": ["https://example.com/data.parquet"]},
                "output": {"image": "localhost:5000/out:1", "imagePushSecret": "push"},
            }
        metadata = {"name": f"fuzz-{number}", **self.some(annotations={"kaito.sh/enablelb": "True"})}
        return {"apiVersion": "kaito.sh/v1alpha1", "kind": "Workspace", "metadata": metadata, **payload}


@pytest.mark.timeout(300)
def test_every_admitted_object_gets_a_status_that_says_what_to_do(
    api: Api, namespace: str, operator: OperatorProcess
) -> None:
    dice = Dice(seed=20)
    admitted = [name for number in range(COUNT) if (name := _create(api, namespace, dice.workspace(number)))]
    assert len(admitted) > COUNT / 4, "the dice are too wild: most objects were refused"

    def silent() -> list[str]:
        found = {w["metadata"]["name"]: w.get("status", {}) for w in api.list("workspaces", namespace)}
        return [name for name in admitted if not _says_what_to_do(found[name])]

    eventually(lambda: not silent(), timeout_s=60, what=lambda: (silent(), operator.words()))
    assert operator.metric("kaito_reconcile_total") > 0
    assert 'result="fault"' not in operator.metrics_text()


def _create(api: Api, namespace: str, workspace: Obj) -> str | None:
    try:
        created = api.create("workspaces", namespace, workspace)
    except ApiFailure as failure:
        if failure.status != 422:
            raise
        return None
    return str(created["metadata"]["name"])


def _says_what_to_do(status: Obj) -> bool:
    blocked = status.get("blockedOn", {})
    return bool(blocked.get("reason") and blocked.get("message") and blocked.get("nextAction"))
