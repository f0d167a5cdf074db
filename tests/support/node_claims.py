"""A definition of NodeClaim for test clusters, with the one rule that matters: its spec cannot change."""

from typing import Any

from kaito_operator.api import labels
from kaito_operator.api.claim_crd import claim_columns, claim_crd, claim_spec
from kaito_operator.api.machine import NODE_CLAIM_API_VERSION, NODE_CLAIM_KIND, NODE_CLAIM_PLURAL


def node_claim_crd() -> dict[str, Any]:
    text = {"type": "string"}
    spec = claim_spec(
        nodeClassRef={"type": "object", "properties": {"group": text, "kind": text, "name": text}},
        expireAfter=text,
        terminationGracePeriod=text,
    )
    rule = {"rule": "self == oldSelf", "message": "spec is immutable"}
    spec = {**spec, "required": ["nodeClassRef", "requirements"], "x-kubernetes-validations": [rule]}
    columns = claim_columns(labels.LABEL_NODEPOOL)
    return claim_crd(NODE_CLAIM_KIND, NODE_CLAIM_PLURAL, NODE_CLAIM_API_VERSION, spec, columns)
