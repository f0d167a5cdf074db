"""The CustomResourceDefinition of Machine, for clusters where no Karpenter brings one.

The same fields as Karpenter's v1alpha5, so that objects of KAITO v0.3.0 keep theirs. It comes with our
provisioner only; NodeClaim's definition comes with whoever serves NodeClaims.
"""

from typing import Any, Final

from kaito_operator.api import labels
from kaito_operator.api.machine import KARPENTER_GROUP, MACHINE_API_VERSION, MACHINE_KIND, MACHINE_PLURAL

Schema = dict[str, Any]

_TEXT: Final[Schema] = {"type": "string"}
_QUANTITIES: Final[Schema] = {
    "type": "object",
    "additionalProperties": {
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "x-kubernetes-int-or-string": True,
    },
}


def _object(properties: Schema, required: tuple[str, ...] = (), description: str = "") -> Schema:
    schema: Schema = {"type": "object", "properties": properties}
    if required:
        schema["required"] = list(required)
    if description:
        schema["description"] = description
    return schema


def _list(items: Schema, description: str) -> Schema:
    return {"type": "array", "description": description, "items": items}


def _taints(description: str) -> Schema:
    taint = {"key": _TEXT, "value": _TEXT, "effect": _TEXT, "timeAdded": {**_TEXT, "format": "date-time"}}
    return _list(_object(taint, ("key", "effect")), description)


_REQUIREMENT: Final = _object(
    {"key": _TEXT, "operator": _TEXT, "values": {"type": "array", "items": _TEXT}}, ("key", "operator")
)
_CONDITION: Final = _object(
    dict.fromkeys(("type", "status", "reason", "message", "severity", "lastTransitionTime"), _TEXT),
    ("type", "status"),
)


def claim_spec(**more: Schema) -> Schema:
    """What both kinds of claims say of the node that is asked for; `more` are fields of one kind only."""
    return _object(
        {
            "requirements": _list(_REQUIREMENT, "Labels of the node, each with the values that will do."),
            "resources": _object({"requests": _QUANTITIES}, (), "What it must offer; storage is its disk."),
            "taints": _taints("Taints that the node carries."),
            "startupTaints": _taints("Taints that the node carries until whoever they are for removes them."),
            **more,
        },
        (),
        "The node that is asked for.",
    )


def claim_status() -> Schema:
    """What the provisioner has reached."""
    return _object(
        {
            "nodeName": _TEXT,
            "providerID": _TEXT,
            "imageID": _TEXT,
            "capacity": _QUANTITIES,
            "allocatable": _QUANTITIES,
            "conditions": _list(_CONDITION, "How far the claim is."),
        },
        (),
        "What the provisioner has reached.",
    )


def claim_crd(kind: str, plural: str, api_version: str, spec: Schema, columns: list[Schema]) -> Schema:
    """The definition of a cluster-scoped claim of one version."""
    preserved = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = _object(
        {
            "apiVersion": _TEXT,
            "kind": _TEXT,
            "metadata": {"type": "object"},
            "spec": spec,
            "status": {**preserved, **claim_status()},
        },
        (),
        f"{kind} asks for one node.",
    )
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{KARPENTER_GROUP}"},
        "spec": {
            "group": KARPENTER_GROUP,
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "categories": ["karpenter"],
            },
            "scope": "Cluster",
            "versions": [
                {
                    "name": api_version.rpartition("/")[2],
                    "served": True,
                    "storage": True,
                    "additionalPrinterColumns": columns,
                    "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


def column(name: str, path: str, *, kind: str = "string", priority: int = 0) -> Schema:
    """A column of `kubectl get`; those with priority 1 show under `-o wide` only."""
    wide = {"priority": priority} if priority else {}
    return {"name": name, "type": kind, "jsonPath": path, **wide}


def _label_path(label: str) -> str:
    escaped = label.replace(".", "\\.")
    return f".metadata.labels.{escaped}"


def claim_columns(provisioner_label: str) -> list[Schema]:
    """The columns that Karpenter's users know."""
    return [
        column("Type", _label_path(labels.LABEL_INSTANCE_TYPE)),
        column("Zone", _label_path("topology.kubernetes.io/zone")),
        column("Node", ".status.nodeName"),
        column("Ready", '.status.conditions[?(@.type=="Ready")].status'),
        column("Reason", '.status.conditions[?(@.type=="Ready")].reason'),
        column("Age", ".metadata.creationTimestamp", kind="date"),
        column("Workspace", _label_path(labels.LABEL_WORKSPACE), priority=1),
        column("Capacity", _label_path("karpenter.sh/capacity-type"), priority=1),
        column("Provisioner", _label_path(provisioner_label), priority=1),
    ]


def machine_crd() -> Schema:
    """Machine, karpenter.sh/v1alpha5."""
    preserved = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    spec = claim_spec(
        kubelet={**preserved, "description": "Settings of the kubelet; not read by our provisioner."},
        machineTemplateRef=_object({"apiVersion": _TEXT, "kind": _TEXT, "name": _TEXT}, ("name",)),
    )
    columns = claim_columns(labels.LABEL_PROVISIONER_NAME)
    return claim_crd(MACHINE_KIND, MACHINE_PLURAL, MACHINE_API_VERSION, spec, columns)
