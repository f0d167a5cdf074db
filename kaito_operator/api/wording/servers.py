"""Containers, the server in them, and the pods as a whole."""

from kaito_operator.api.wording.row import Reason, blocked

ROWS: tuple[Reason, ...] = (
    # The process.
    blocked(
        "ContainerConfig",
        "Container {container} cannot be created. The node says: {detail}",
        "Correct what the message names: `kubectl describe pod {pod} -n {namespace}`.",
    ),
    blocked(
        "OutOfMemory",
        "Container {container} of pod {pod} was killed because it used more memory than it may.",
        "Use a larger node, a smaller model or fewer tokens.",
    ),
    # The next nine are the names by which the inference server and the download tell their own errors.
    blocked(
        "WeightsUntrusted",
        "The weights cannot be loaded without running code that comes with them: {detail}",
        "If you trust their author, create the Workspace with presetOptions.trustRemoteCode: true.",
    ),
    blocked(
        "AdapterRefused",
        "An adapter cannot be loaded: {detail}",
        "Use an adapter that was trained on this model, or remove it from inference.adapters.",
    ),
    blocked(
        "ModelTooLarge",
        "The model does not fit the memory: {detail}",
        "Use a larger node or a smaller model.",
    ),
    blocked(
        "GpuUnusable",
        "The server in pod {pod} was given GPUs that it cannot use: {detail}",
        "Check the NVIDIA driver of node {node}, and that the runtime image is the one for GPUs.",
    ),
    blocked(
        "EngineFailed",
        "Generation broke down: {detail}",
        "The server restarts by itself. When it happens again, read `kubectl logs {pod} --previous "
        "-n {namespace}`; a faulty GPU is the usual cause.",
    ),
    blocked(
        "HubDenied",
        "The hub refuses the weights: {detail}",
        "Accept the model's terms on the hub, put your token under HF_TOKEN into a Secret, and create the "
        "Workspace with its name in presetOptions.modelAccessSecret.",
    ),
    blocked(
        "HubNotFound",
        "The hub does not have the weights: {detail}",
        "Check the repository and the revision; the pod tries again by itself.",
    ),
    blocked(
        "HubUnreachable",
        "The hub does not answer: {detail}",
        "Check KAITO_HUB_ENDPOINT and the network of node {node}; the pod tries again by itself.",
    ),
    blocked(
        "VolumeTooSmall",
        "The weights do not fit the volume: {detail}",
        "Use a node with a larger disk, or create the Workspace with presetOptions.volumeClaim.",
    ),
    blocked(
        "WeightsDownload",
        "Init container {container} could not bring the weights: {detail}",
        "Correct what the message names; the pod tries again by itself. "
        "`kubectl logs {pod} -c {container} -n {namespace}` shows all of it.",
    ),
    blocked(
        "ServerCrashed",
        "Container {container} of pod {pod} ended with exit code {exit_code}: {detail}",
        "Read its last words: `kubectl logs {pod} -c {container} --previous -n {namespace}`.",
    ),
    blocked(
        "ServerUnhealthy",
        "Pod {pod} was ready and no longer answers its readiness probe.",
        "Read the log: `kubectl logs {pod} -n {namespace}`. The kubelet restarts it when it stays so.",
    ),
    blocked(
        "PodFailed",
        "Pod {pod} has failed: {detail}",
        "Look at it: `kubectl describe pod {pod} -n {namespace}`. A new pod replaces it.",
    ),
    blocked(
        "PodSecurity",
        "Namespace {namespace} does not allow the pods of this Workspace: {detail}",
        "Change the template to what the namespace's Pod Security level allows, or use another namespace.",
    ),
    blocked(
        "QuotaExceeded",
        "The quota of namespace {namespace} is used up: {detail}",
        "Raise the quota or free some of it: `kubectl describe resourcequota -n {namespace}`.",
    ),
    blocked(
        "PodsNotCreated",
        "The pods cannot be created: {detail}",
        "Correct what the message names: "
        "`kubectl describe deployments,statefulsets -l kaito.sh/workspace={name} -n {namespace}`.",
    ),
    blocked(
        "Overdue",
        "The server in pod {pod} has been loading for more than {limit}, longer than planned.",
        "Read its log: `kubectl logs {pod} -n {namespace}`; "
        "a slow disk and a too small CPU are the usual causes.",
    ),
)
