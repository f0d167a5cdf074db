"""The answer of `kaito plan` as a person reads it."""

from collections.abc import Mapping, Sequence
from typing import Final

from kaito_operator.api.quantities import GIB, format_gib
from kaito_operator.cli.drawing import Style, bar, sentence, styled, table, write
from kaito_operator.cli.plan import Answer, Verdict
from kaito_operator.planner.capacity import format_gib_down
from kaito_operator.planner.placement import Placement, Rejection
from kaito_operator.planner.plan import Plan
from kaito_operator.planner.status import MAX_ALTERNATIVES, MAX_REJECTED, plan_status

_HEADLINES: Final[Mapping[Verdict, tuple[str, Style]]] = {
    "fits": ("it fits", "green"),
    "unknown": ("not known whether it fits", "yellow"),
    "doesNotFit": ("it does not fit", "red"),
    "invalid": ("it cannot be served", "red"),
}


def write_answer(answer: Answer) -> None:
    """Write the answer to the standard output."""
    paragraphs = ("\n".join(block) for block in _blocks(answer) if block)
    write(["\n\n".join(paragraphs)])


def _blocks(answer: Answer) -> list[list[str]]:
    """Paragraphs, in the order of their weight for the reader; some may be empty."""
    blocks = [_headline(answer)]
    for problem in answer.problems:
        told = sentence(f"{problem.reason} ({problem.path}): {problem.message}")
        blocks.append([*told, *sentence(problem.next_action, indent="  ")])
    if answer.verdict == "invalid":
        return blocks
    plan = answer.plan
    if answer.verdict != "doesNotFit":
        blocks.append(table(_facts(answer)))
    if plan.placement:
        blocks.append(_memory(plan.placement, answer))
    places = plan.places
    others = [fit for fit in (places.fitting if places else ()) if fit is not plan.placement]
    blocks.append(_alternatives(others, "Alternatives" if plan.placement else "These hold it"))
    blocks.append(_rejected(places.rejected if places else ()))
    return [*blocks, *(sentence(f"Warning: {warning}") for warning in plan.warnings)]


def _headline(answer: Answer) -> list[str]:
    name = answer.workspace.metadata.name or "Workspace"
    words, style = _HEADLINES[answer.verdict]
    tuning = answer.workspace.tuning is not None and answer.workspace.inference is None
    what = "tuning" if tuning else answer.plan.model_name or answer.plan.kind
    return [f"{name}: {what}: {styled(words, style)}"]


def _facts(answer: Answer) -> list[tuple[str, str]]:
    plan = answer.plan
    facts = [
        ("instance type", _instance_type(answer)),
        ("nodes", str(plan.replicas)),
        ("GPUs", _gpus(answer)),
    ]
    if plan.preset:
        facts += [
            ("runs in", answer.sizing.quantization or plan.dtype),
            ("weights", plan_status(plan).weights_source or "not known"),
            ("disk", f"{plan.disk_bytes // GIB} GiB on each node"),
        ]
    adds_no_node = plan.preset is None and plan.instance_type is None
    if plan.timing.ready_s > plan.timing.scheduling_s and not adds_no_node:
        facts.append(("ready in", _duration(plan)))
    return [*facts, ("price", _price(plan.placement))]


def _instance_type(answer: Answer) -> str:
    plan = answer.plan
    if plan.instance_type is None and plan.timing.provisioning_s:
        return "not known: name one in resource.instanceType, or nodes of yours in resource.labelSelector"
    if plan.instance_type is None:
        return "any node will do: none is named, and none is added"
    named = answer.workspace.resource is not None and answer.workspace.resource.instance_type
    return f"{plan.instance_type} ({'named' if named else 'chosen: the cheapest that holds it'})"


def _gpus(answer: Answer) -> str:
    plan, placement = answer.plan, answer.plan.placement
    if plan.preset is None:
        return "not known"
    if not plan.gpus_per_pod:
        return "none: it runs on the CPU"
    row = answer.catalog.instance_types.get(plan.instance_type or "")
    if placement is None or row is None or row.accelerators is None:
        return f"{plan.gpus_per_pod} for each pod"
    gpu = row.accelerators
    split = "cut by tensors over" if placement.tensor_parallel > 1 else "layers dealt out to"
    how = f"; {split} {placement.world_size}" if placement.world_size > 1 else ""
    return (
        f"{gpu.count} x {gpu.model} {gpu.memory_gib} GiB on each node; {plan.gpus_per_pod} for each pod{how}"
    )


def _duration(plan: Plan) -> str:
    minutes = max(round(plan.timing.ready_s / 60), 1)
    new = round(plan.timing.provisioning_s / 60)
    total = f"about {minutes} minute{'s' if minutes > 1 else ''}"
    return f"{total}, {new} of them for a new node" if new else total


def _price(placement: Placement | None) -> str:
    if placement is None or placement.price_usd_per_hour is None:
        return "no price known"
    together = f" for all {placement.nodes} nodes" if placement.nodes > 1 else ""
    price = f"{placement.price_usd_per_hour:f} US dollars per hour{together}"
    return f"{price} ({placement.price_source}; on demand, before tax)"


def _memory(placement: Placement, answer: Answer) -> list[str]:
    part, usable = placement.memory_per_gpu, placement.usable_bytes_per_gpu
    where = "GPU memory" if placement.world_size else "Main memory"
    if placement.world_size > 1:
        where = f"Memory of the fullest of {placement.world_size} GPUs"
    sequences = answer.sizing.sequences
    count = "1 sequence" if sequences == 1 else f"{sequences} sequences"
    parts = (
        ("weights", part.weights_bytes, ""),
        ("KV cache", part.kv_cache_bytes, f"{count} of {answer.context_tokens:,} tokens"),
        ("activations", part.activation_bytes, "while a prompt is read"),
        ("program", part.overhead_bytes, "libraries, kernels"),
    )
    rows = [(name, format_gib(amount), bar(amount, usable), note) for name, amount, note in parts]
    free = usable - placement.needed_bytes_per_gpu
    rows.append(("free", format_gib_down(free), bar(free, usable, empty=True), ""))
    needed = f"{format_gib(placement.needed_bytes_per_gpu)} of {format_gib_down(usable)}"
    return [f"{where}: {needed}", *table(rows)]


def _alternatives(others: Sequence[Placement], title: str) -> list[str]:
    rows = [
        (
            fit.instance_type,
            str(fit.nodes),
            str(fit.gpus_per_pod),
            format_gib(fit.needed_bytes_per_gpu),
            format_gib_down(fit.usable_bytes_per_gpu),
            "not known" if fit.price_usd_per_hour is None else f"{fit.price_usd_per_hour:f}",
        )
        for fit in others[:MAX_ALTERNATIVES]
    ]
    header = ("instance type", "nodes", "GPUs per pod", "needs", "of", "USD per hour")
    return [title, *table(rows, header)] if rows else []


def _rejected(rejected: Sequence[Rejection]) -> list[str]:
    more = f" ({MAX_REJECTED} of {len(rejected)})" if len(rejected) > MAX_REJECTED else ""
    rows = [(rejection.instance_type, rejection.reason) for rejection in rejected[:MAX_REJECTED]]
    return [f"Not taken{more}", *table(rows, ("instance type", "why not"))] if rows else []
