"""The pods of a process group go together: one of another version could not join the others."""

import re

from kaito_operator.api.reasons import Finding, finding
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


# The server's words, by which its processes tell that another one is the cause.
_ANOTHER_WAS_LOST = re.compile(r"process of the group is lost|processes of the group did not meet")


def told_by_group(found: Finding, plan: Plan, expected: str) -> Finding:
    """The same finding; or, of a pod that ended only because another one of its group did, that all restart.

    Then the pod in which it began has its own finding, which is told first.
    """
    if not plan.is_group:
        return found
    detail = found.facts.get("detail", "")
    lost = found.reason.code == "EngineFailed" and _ANOTHER_WAS_LOST.search(detail)
    # The first process leaves on SIGTERM and sends the others home, which end well.
    sent_home = found.reason.code == "ServerCrashed" and found.facts.get("exit_code") == "0"
    if not lost and not sent_home:
        return found
    said = detail if lost else "the first pod has left, and this one with it."
    return finding("GroupRestarting", **{**found.facts, "detail": said, "expected": expected})
