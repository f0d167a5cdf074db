"""render(workspace, plan, ...) -> the objects that are to exist, in the order in which they are applied."""

from dataclasses import dataclass
from typing import Any

from kaito_operator.api import labels
from kaito_operator.api.meta import ObjectMeta
from kaito_operator.api.workspace import Workspace
from kaito_operator.manifests.group import headless_service, stateful_set
from kaito_operator.manifests.ownership import Obj, child_metadata, content_hash, sealed
from kaito_operator.manifests.scheduling import EXISTING_ONLY, NodeSource
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


def render(
    workspace: Workspace,
    plan: Plan,
    way: Delivery | None,
    runtime: RuntimeSettings,
    source: NodeSource = EXISTING_ONLY,
) -> Rendered:
    """All children of an inference Workspace that has a plan; `source` says which nodes its pods may use."""
    template = _pod_template(workspace, plan, way, runtime, source)
    template_hash = content_hash(template)
    template = _annotated(template, template_hash)
    owner = workspace.metadata
    annotations = _decided(way, source)
    if plan.distributed:
        group = sealed(stateful_set(owner, plan, template, annotations))
        services = (sealed(headless_service(owner)), service(owner, first_pod_only=True))
        return Rendered((group, *services), template_hash)
    workload = _deployment(owner, plan, template, annotations)
    return Rendered((sealed(workload), service(owner)), template_hash)


def _decided(way: Delivery | None, source: NodeSource) -> dict[str, str]:
    """What was decided when the workload was first made, and is kept on it."""
    decided: dict[str, str] = {labels.ANNOTATION_WEIGHTS_FROM: way} if way else {}
    if source.claimed:
        decided[labels.ANNOTATION_EXISTING_NODES] = "true" if source.existing else "false"
    return decided


def _pod_template(
    workspace: Workspace, plan: Plan, way: Delivery | None, runtime: RuntimeSettings, source: NodeSource
) -> Obj:
    if workspace.inference and workspace.inference.template is not None:
        return pod_template(workspace.inference.template, workspace, source)
    return {
        "metadata": {"labels": {labels.LABEL_WORKSPACE: workspace.metadata.name}},
        "spec": server_pod(workspace, plan, way or "imageCopy", runtime, source),
    }


def _annotated(template: Obj, template_hash: str) -> Obj:
    metadata = template["metadata"]
    written: Any = metadata.get("annotations")
    annotations = dict(written) if isinstance(written, dict) else {}
    annotations[labels.ANNOTATION_TEMPLATE_HASH] = template_hash
    return {**template, "metadata": {**metadata, "annotations": annotations}}


def _deployment(owner: ObjectMeta, plan: Plan, template: Obj, annotations: dict[str, str]) -> Obj:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": child_metadata(owner, annotations),
        "spec": {
            "replicas": plan.replicas,
            "selector": {"matchLabels": {labels.LABEL_WORKSPACE: owner.name}},
            "strategy": _strategy(plan),
            "progressDeadlineSeconds": plan.timing.limit_s + 2 * plan.timing.provisioning_s,
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
