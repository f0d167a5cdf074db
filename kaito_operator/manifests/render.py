"""render(workspace, plan, ...) -> the objects that are to exist, in the order in which they are applied."""

from dataclasses import dataclass
from typing import Any

from kaito_operator.api import labels
from kaito_operator.api.workspace import ResourceSpec, Workspace
from kaito_operator.manifests.ownership import Obj, child_metadata, content_hash, sealed
from kaito_operator.manifests.server import server_pod
from kaito_operator.manifests.service import service
from kaito_operator.manifests.template import pod_template
from kaito_operator.manifests.weights import Delivery
from kaito_operator.planner.plan import ClaimWeights, Plan
from kaito_operator.settings import RuntimeSettings


@dataclass(frozen=True)
class Rendered:
    """The children of one Workspace.

    Attributes:
        objects: in apply order; the workload first, since it is what takes time.
        template_hash: by which a pod of the present version is told from an older one.
    """

    objects: tuple[Obj, ...]
    template_hash: str


def render(workspace: Workspace, plan: Plan, way: Delivery | None, runtime: RuntimeSettings) -> Rendered:
    """All children of an inference Workspace that has a plan."""
    template = _pod_template(workspace, plan, way, runtime)
    template_hash = content_hash(template)
    template = _annotated(template, template_hash)
    workload = _deployment(workspace, plan, template, way)
    return Rendered((sealed(workload), service(workspace.metadata)), template_hash)


def _pod_template(workspace: Workspace, plan: Plan, way: Delivery | None, runtime: RuntimeSettings) -> Obj:
    name = workspace.metadata.name
    if workspace.inference and workspace.inference.template is not None:
        return pod_template(workspace.inference.template, name, workspace.resource or ResourceSpec())
    return {
        "metadata": {"labels": {labels.LABEL_WORKSPACE: name}},
        "spec": server_pod(workspace, plan, way or "imageCopy", runtime),
    }


def _annotated(template: Obj, template_hash: str) -> Obj:
    metadata = template["metadata"]
    written: Any = metadata.get("annotations")
    annotations = dict(written) if isinstance(written, dict) else {}
    annotations[labels.ANNOTATION_TEMPLATE_HASH] = template_hash
    return {**template, "metadata": {**metadata, "annotations": annotations}}


def _deployment(workspace: Workspace, plan: Plan, template: Obj, way: Delivery | None) -> Obj:
    owner = workspace.metadata
    annotations = {labels.ANNOTATION_WEIGHTS_FROM: way} if way else {}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": child_metadata(owner, annotations),
        "spec": {
            "replicas": plan.replicas,
            "selector": {"matchLabels": {labels.LABEL_WORKSPACE: owner.name}},
            "strategy": _strategy(plan),
            "progressDeadlineSeconds": plan.timing.limit_s,
            "template": template,
        },
    }


def _strategy(plan: Plan) -> Obj:
    # A new pod that needs the GPU which the old one holds would wait for ever, so the old one goes first.
    # For a template nobody here knows what it needs, so it is treated the same.
    # A volume claim may be bound to one node, where the old pod has it.
    holds_nothing = plan.gpus_per_pod == 0 and not isinstance(plan.weights, ClaimWeights)
    surge, unavailable = (1, 0) if plan.kind == "preset" and holds_nothing else (0, 1)
    return {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable},
    }
