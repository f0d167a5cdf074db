"""What a Deployment says of the pods that it cannot make."""

from kaito_operator.api.reasons import Finding, finding
from kaito_operator.reconcile.observed import Obj


def diagnose_workload(workload: Obj, namespace: str, name: str) -> Finding | None:
    """Why the Deployment lacks pods: quota, Pod Security, another's webhook; None when it does not say."""
    status = workload.get("status", {})
    if status.get("observedGeneration", 0) < workload["metadata"].get("generation", 0):
        return None  # said of an earlier version, which may have been what was wrong
    for condition in status.get("conditions", ()):
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            said = str(condition.get("message", ""))
            code = "PodsNotCreated"
            if "exceeded quota" in said:
                code = "QuotaExceeded"
            elif "violates PodSecurity" in said:
                code = "PodSecurity"
            return finding(code, namespace=namespace, name=name, detail=said)
    return None
