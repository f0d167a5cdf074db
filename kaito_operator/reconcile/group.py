"""The pods of a process group go together: one of another version could not join the others."""

from kaito_operator.planner.plan import Plan
from kaito_operator.reconcile import pods
from kaito_operator.reconcile.decision import ObjectRef
from kaito_operator.reconcile.observed import Observed


def old_group(plan: Plan, observed: Observed, template_hash: str) -> tuple[ObjectRef, ...]:
    """All pods of the group when any of them is of an earlier template; the StatefulSet makes them anew.

    Not before the StatefulSet's controller has seen the new template: it would make old pods again.
    """
    workload = observed.children.get("StatefulSet")
    if not plan.distributed or workload is None:
        return ()
    seen = workload.get("status", {}).get("observedGeneration", 0)
    if seen < workload["metadata"].get("generation", 0):
        return ()
    live = [p for p in observed.pods if pods.is_of_a_workload(p) and not pods.is_leaving(p)]
    if all(pods.is_current(p, template_hash) for p in live):
        return ()
    return tuple(
        ObjectRef("Pod", p["metadata"]["namespace"], p["metadata"]["name"], p["metadata"]["uid"])
        for p in live
    )
