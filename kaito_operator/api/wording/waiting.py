"""Waiting: nothing is wrong."""

from kaito_operator.api.wording.row import Reason, waiting

ROWS: tuple[Reason, ...] = (
    waiting(
        "NodeLaunching",
        "Launching",
        "{kind} {claim} asks for a node of type {type}; {missing} of {wanted} nodes are still to come.",
        "Nothing to do: about {expected}. `kubectl describe {kind} {claim}` shows how far it is.",
    ),
    waiting(
        "NodeJoining",
        "Joining",
        "The machine of {kind} {claim} runs; its node is joining the cluster.",
        "Nothing to do: about {expected}. `kubectl describe {kind} {claim}` shows how far it is.",
    ),
    waiting(
        "NodeReplacing",
        "Launching",
        "{kind} {claim} lost its node: {detail} Another node is asked for in its place.",
        "Nothing to do: about {expected}. `kubectl get {plural} -l kaito.sh/workspace={name}` shows both.",
    ),
    waiting(
        "ClaimsRemoved",
        "Deleting",
        "The Workspace is being deleted; {claims} must be marked for deletion first: {detail}",
        "Nothing to do: it is tried again by itself. To let go of them all the same, with machines that may "
        "go on costing money: "
        "`kubectl annotate workspace {name} -n {namespace} kaito.sh/abandon-claims=true`.",
    ),
    waiting(
        "GroupRestarting",
        "Loading",
        "One process of the group was lost, so all of them restart and meet again. Pod {pod} says: {detail}",
        "Nothing to do: about {expected}. When it happens again, "
        "`kubectl get pods -l kaito.sh/workspace={name} -n {namespace}` shows which pod restarts most.",
    ),
    waiting(
        "PodScheduling",
        "Scheduling",
        "The scheduler is choosing a node for the pods of this Workspace.",
        "Nothing to do: this takes about a second.",
    ),
    waiting(
        "PodStarting",
        "Starting",
        "Node {node} is pulling the images and mounting the volumes of pod {pod}.",
        "Nothing to do: about {expected}. `kubectl describe pod {pod} -n {namespace}` shows the pull.",
    ),
    waiting(
        "WeightsArriving",
        "Starting",
        "Init container {container} of pod {pod} is bringing the weights onto node {node}.",
        "Nothing to do: about {expected}. "
        "`kubectl logs {pod} -c {container} -n {namespace}` shows the progress.",
    ),
    waiting(
        "ModelLoading",
        "Loading",
        "The server in pod {pod} is loading the model.",
        "Nothing to do: about {expected}. `kubectl logs {pod} -n {namespace}` shows the progress.",
    ),
    waiting(
        "RollingOut",
        "Updating",
        "{ready} of {wanted} replicas run the new version; the others are being replaced.",
        "Nothing to do. `kubectl get pods -l kaito.sh/workspace={name} -n {namespace} --watch` follows it.",
    ),
    waiting(
        "PreviousRemoved",
        "Scheduling",
        "{kind} {name} of an earlier Workspace of this name is still being removed.",
        "Nothing to do: it goes by itself within seconds.",
    ),
)
