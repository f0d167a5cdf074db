"""render(workspace, plan, ...) -> the objects that are to exist, in the order in which they are applied."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kaito_operator.api import labels
from kaito_operator.api.meta import ObjectMeta
from kaito_operator.api.workspace import Workspace
from kaito_operator.manifests.adapters import (
    adapter_list,
    generation_of,
    list_text,
    takes_adapters,
    wanted_adapters,
)
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
        objects: in apply order: the list of adapters, without which no pod starts; then the workload, since
            it is what takes time.
        template_hash: by which a pod of the present version is told from an older one.
        adapters_generation: of the list of adapters; empty where there is none.
    """

    objects: tuple[Obj, ...]
    template_hash: str
    adapters_generation: str = ""


@dataclass(frozen=True)
class Decided:
    """What was decided once, or is decided now and then, and is kept on the workload.

    Attributes:
        way: of the weights; None for a template.
        source: the nodes that pods may use.
        in_pod: names of the adapters that pods bring themselves.
        given_up: adapters with which a pod could not start: name -> hash of their source.
    """

    way: Delivery | None
    source: NodeSource = EXISTING_ONLY
    in_pod: frozenset[str] = frozenset()
    given_up: Mapping[str, str] = field(default_factory=dict)

    def annotations(self) -> dict[str, str]:
        """As the workload carries it."""
        written: dict[str, str] = {labels.ANNOTATION_WEIGHTS_FROM: self.way} if self.way else {}
        if self.source.claimed:
            written[labels.ANNOTATION_EXISTING_NODES] = "true" if self.source.existing else "false"
        if self.in_pod:
            written[labels.ANNOTATION_ADAPTERS_IN_POD] = json.dumps(sorted(self.in_pod))
        if self.given_up:
            written[labels.ANNOTATION_ADAPTERS_GIVEN_UP] = json.dumps(dict(self.given_up), sort_keys=True)
        return written


def render(workspace: Workspace, plan: Plan, decided: Decided, runtime: RuntimeSettings) -> Rendered:
    """All children of an inference Workspace that has a plan."""
    template = _pod_template(workspace, plan, decided, runtime)
    template_hash = content_hash(template)
    template = _annotated(template, template_hash)
    owner = workspace.metadata
    first, generation = _adapter_list(workspace, plan, decided)
    if plan.distributed:
        workload = stateful_set(owner, plan, template, decided.annotations())
        services = [sealed(headless_service(owner)), service(owner, first_pod_only=True)]
    else:
        workload = _deployment(owner, plan, template, decided.annotations())
        services = [service(owner)]
    return Rendered((*first, sealed(workload), *services), template_hash, generation)


def _adapter_list(workspace: Workspace, plan: Plan, decided: Decided) -> tuple[tuple[Obj, ...], str]:
    if not takes_adapters(plan):
        return (), ""
    text = list_text(wanted_adapters(workspace), decided.in_pod)
    return (adapter_list(workspace.metadata, text),), generation_of(text)


def _pod_template(workspace: Workspace, plan: Plan, decided: Decided, runtime: RuntimeSettings) -> Obj:
    if workspace.inference and workspace.inference.template is not None:
        return pod_template(workspace.inference.template, workspace, decided.source)
    way = decided.way or "imageCopy"
    return {
        "metadata": {"labels": {labels.LABEL_WORKSPACE: workspace.metadata.name}},
        "spec": server_pod(workspace, plan, way, runtime, decided.source, decided.in_pod),
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
