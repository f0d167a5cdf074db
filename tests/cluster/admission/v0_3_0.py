"""The Workspace CRD of KAITO v0.3.0, written from its published fields: a schema without rules."""

from typing import Any

from kaito_operator.api import labels

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_TEXTS: Schema = {"type": "array", "items": _TEXT}
_ANYTHING: Schema = {"x-kubernetes-preserve-unknown-fields": True}


def _object(required: list[str] | None = None, **properties: Schema) -> Schema:
    schema: Schema = {"type": "object", "properties": properties}
    return schema | ({"required": required} if required else {})


def _list(item: Schema) -> Schema:
    return {"type": "array", "items": item}


_EXPRESSION = _object(["key", "operator"], key=_TEXT, operator=_TEXT, values=_TEXTS)
_SELECTOR = _object(
    matchLabels={"type": "object", "additionalProperties": _TEXT}, matchExpressions=_list(_EXPRESSION)
)
_RESOURCE = _object(
    ["labelSelector"],
    count={"type": "integer", "default": 1},
    instanceType={"type": "string", "default": "Standard_NC12s_v3"},
    labelSelector=_SELECTOR,
    preferredNodes=_TEXTS,
)
_PRESET = _object(
    ["name"],
    name=_TEXT,
    accessMode={"type": "string", "enum": ["public", "private"], "default": "public"},
    presetOptions=_object(image=_TEXT, imagePullSecrets=_TEXTS),
)
_SOURCE = _object(name=_TEXT, urls=_TEXTS, volumeSource=_ANYTHING, image=_TEXT, imagePullSecrets=_TEXTS)
_DESTINATION = _object(volumeSource=_ANYTHING, image=_TEXT, imagePushSecret=_TEXT)
_INFERENCE = _object(
    preset=_PRESET, template=_ANYTHING, adapters=_list(_object(source=_SOURCE, strength=_TEXT))
)
_TUNING = _object(
    ["input", "output"], preset=_PRESET, method=_TEXT, config=_TEXT, input=_SOURCE, output=_DESTINATION
)
_CONDITION = _object(
    ["lastTransitionTime", "message", "reason", "status", "type"],
    lastTransitionTime={"type": "string", "format": "date-time"},
    message=_TEXT,
    observedGeneration={"type": "integer"},
    reason={"type": "string", "minLength": 1},
    status={"type": "string", "enum": ["True", "False", "Unknown"]},
    type=_TEXT,
)
_STATUS = _object(workerNodes=_TEXTS, conditions=_list(_CONDITION))


def crd(group: str) -> Schema:
    """The CRD under the given API group."""
    schema = _object(
        apiVersion=_TEXT,
        kind=_TEXT,
        metadata={"type": "object"},
        resource=_RESOURCE,
        inference=_INFERENCE,
        tuning=_TUNING,
        status=_STATUS,
    )
    version: Schema = {
        "name": labels.VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": schema},
    }
    names: Schema = {"kind": labels.KIND, "plural": labels.PLURAL, "singular": labels.SINGULAR}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{labels.PLURAL}.{group}"},
        "spec": {"group": group, "names": names, "scope": "Namespaced", "versions": [version]},
    }
