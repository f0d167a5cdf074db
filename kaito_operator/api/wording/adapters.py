"""Adapters of a server that runs. None of these keeps the model itself from answering."""

from kaito_operator.api.wording.row import Reason, blocked, waiting

_POD_LOG = "`kubectl logs -l kaito.sh/workspace={workspace} -c adapters -n {namespace}` tells more."

ROWS: tuple[Reason, ...] = (
    waiting(
        "AdapterLoading",
        "Updating",
        "Adapter {name} is on its way into the servers that run. {detail}",
        "Nothing to do: requests are answered without it until it is there.",
    ),
    waiting(
        "AdapterNeedsRestart",
        "Updating",
        "Adapter {name} can come into the server only with a new pod: {detail}",
        "Nothing to do: the operator replaces the pods, and the node pulls the adapter with its credentials.",
    ),
    waiting(
        "AdapterUnanswered",
        "Updating",
        "Whether adapter {name} is loaded is not known: {detail}",
        "Nothing to do when it passes; the operator asks again. Else let the operator's namespace reach "
        "port 5000 of the pods of namespace {namespace}.",
    ),
    # The model is served; with the adapter somebody has to do something.
    blocked(
        "AdapterNotMergeable",
        "Adapter {name} is loaded and not part of the merge: {detail}",
        'Ask for it by its name, as `"model": "{name}"`; or make it the only adapter, with strength 1.',
    ),
    blocked(
        "AdapterImageNotFound",
        "The registry has no image {image} for adapter {name}: {detail}",
        "Correct the image of adapter {name} in inference.adapters.",
    ),
    blocked(
        "AdapterImageBad",
        "Image {image} of adapter {name} cannot be used: {detail}",
        "Build it with adapter_config.json and adapter_model.safetensors in /data (docs/adapters.md).",
    ),
    blocked(
        "AdapterTooLarge",
        "Adapter {name} is too large: {detail}",
        "Use an adapter of a lower rank, or a node with a larger disk.",
    ),
    blocked(
        "AdapterDenied",
        "The registry gives image {image} of adapter {name} neither to the server nor to the node: {detail}",
        "Put the name of a Secret with your credentials into source.imagePullSecrets of adapter {name}, "
        "or correct the Secret; it is tried again every minute.",
    ),
    blocked(
        "AdapterFailed",
        "Adapter {name} cannot be used: {detail}",
        "Correct what the message names. " + _POD_LOG,
    ),
)
