"""A user's own pod template, with what the Workspace adds to it: labels, nodes, tolerations.

The template is passed on as it is written. Where its shape is not what a pod has, nothing is added and
the API server's refusal says what is wrong.
"""

from typing import Any

from kaito_operator.api import labels
from kaito_operator.api.workspace import Workspace
from kaito_operator.manifests.ownership import Obj
from kaito_operator.manifests.scheduling import TOLERATIONS, NodeSource, node_terms


def pod_template(template: Obj, workspace: Workspace, source: NodeSource) -> Obj:
    """The template as the Deployment gets it."""
    name = workspace.metadata.name
    metadata = _mapping(template.get("metadata"))
    spec = template.get("spec")
    result = {
        **template,
        "metadata": {
            **metadata,
            "labels": {**_mapping(metadata.get("labels")), labels.LABEL_WORKSPACE: name},
        },
    }
    if isinstance(spec, dict):
        result["spec"] = {
            **spec,
            "affinity": _with_nodes(spec.get("affinity"), node_terms(workspace, source)),
            "tolerations": _with_tolerations(spec.get("tolerations")),
        }
    return result


def _mapping(value: Any) -> Obj:  # noqa: ANN401 - whatever the user wrote
    return dict(value) if isinstance(value, dict) else {}


def _with_tolerations(own: Any) -> Any:  # noqa: ANN401 - whatever the user wrote
    if own is not None and not isinstance(own, list):
        return own
    written = own or []
    return [*written, *(t for t in TOLERATIONS if t not in written)]


def _with_nodes(own: Any, ours: list[Obj]) -> Any:  # noqa: ANN401 - whatever the user wrote
    """The user's affinity AND ours: terms are alternatives, so each pair of terms is joined."""
    if own is not None and not isinstance(own, dict):
        return own
    whole = _mapping(own)
    node = _mapping(whole.get("nodeAffinity"))
    required = _mapping(node.get("requiredDuringSchedulingIgnoredDuringExecution"))
    theirs = required.get("nodeSelectorTerms")
    terms = [_joined(a, b) for a in theirs for b in ours] if isinstance(theirs, list) and theirs else ours
    required = {**required, "nodeSelectorTerms": terms}
    node = {**node, "requiredDuringSchedulingIgnoredDuringExecution": required}
    return {**whole, "nodeAffinity": node}


def _joined(theirs: Any, ours: Obj) -> Any:  # noqa: ANN401 - whatever the user wrote
    if not isinstance(theirs, dict):
        return theirs
    written = theirs.get("matchExpressions")
    expressions = written if isinstance(written, list) else []
    return {**theirs, "matchExpressions": [*expressions, *ours["matchExpressions"]]}
