"""`kaito plan`: the planner of the operator on a file, its verdict as an exit code, and all of it as JSON."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from kaito_operator.api.reasons import finding
from kaito_operator.api.workspace import Workspace
from kaito_operator.cli.arguments import Options
from kaito_operator.cli.manifest import BadInputError, read_workspace
from kaito_operator.cli.structure import Fault
from kaito_operator.planner.memory import MemoryNeed, Sizing, planned_context_tokens
from kaito_operator.planner.misfit import nothing_fits
from kaito_operator.planner.placement import Placement
from kaito_operator.planner.plan import Plan, plan_workspace
from kaito_operator.planner.status import plan_status
from kaito_operator.planner.validate import Problem, validate
from kaito_operator.settings import RuntimeSettings
from presets.catalog import Catalog, load_catalog

Verdict = Literal["fits", "unknown", "doesNotFit", "invalid"]

EXIT_CODES: Final[Mapping[Verdict, int]] = {"fits": 0, "unknown": 0, "invalid": 2, "doesNotFit": 3}
"""unknown: nobody here can tell whether it fits, and nothing speaks against it."""

_MISFITS: Final = frozenset({"ModelDoesNotFit", "NothingFits", "GpuTooOld"})


@dataclass(frozen=True)
class Answer:
    """What is said about one Workspace.

    Attributes:
        problems: why it could not be served; empty unless the verdict is "invalid" or "doesNotFit".
        sizing: what memory was to hold.
    """

    workspace: Workspace
    plan: Plan
    problems: tuple[Problem, ...]
    sizing: Sizing
    catalog: Catalog

    @property
    def verdict(self) -> Verdict:
        """In one word."""
        if self.problems:
            misfits = all(problem.reason in _MISFITS for problem in self.problems)
            return "doesNotFit" if misfits else "invalid"
        return "fits" if self.plan.placement else "unknown"

    @property
    def context_tokens(self) -> int | None:
        """Planned for one sequence; None where nothing is known of the model."""
        preset = self.plan.preset
        return planned_context_tokens(preset.architecture, self.sizing) if preset else None


def run_plan(options: Options) -> int:
    """Read, answer, write; the exit code."""
    try:
        answer = answer_for(read_workspace(options.file), load_catalog(), options)
    except BadInputError as error:
        _refuse(error.faults, as_json=options.json)
        return EXIT_CODES["invalid"]
    if options.json:
        sys.stdout.write(json.dumps(as_data(answer), indent=2) + "\n")
    else:
        from kaito_operator.cli.plan_text import write_answer

        write_answer(answer)
    return EXIT_CODES[answer.verdict]


def answer_for(workspace: Workspace, catalog: Catalog, options: Options) -> Answer:
    """What the operator would decide, with the settings that the options stand for. Raises nothing."""
    runtime = RuntimeSettings("", provisioning=options.provisioning, oldest_gpu=options.oldest_gpu)
    sizing = Sizing(options.context, options.concurrency, options.quantization)
    plan = plan_workspace(workspace, catalog, runtime, sizing)
    plan = replace(plan, warnings=(*plan.warnings, *_about_options(plan, options)))
    problems = validate(workspace, catalog, runtime, sizing)
    if not problems and options.provisioning != "none":
        problems = _nothing_fits(plan)
    return Answer(workspace, plan, problems, sizing, catalog)


def as_data(answer: Answer) -> dict[str, Any]:
    """The answer as JSON data; docs/planning.md describes it."""
    plan, placement = answer.plan, answer.plan.placement
    timing = plan.timing
    return {
        "workspace": answer.workspace.metadata.name,
        "verdict": answer.verdict,
        "problems": [_problem_data(problem) for problem in answer.problems],
        "preset": plan.preset.name if plan.preset else None,
        "instanceType": plan.instance_type,
        "candidates": list(plan.candidates),
        "dtype": plan.dtype,
        "contextTokens": answer.context_tokens,
        "sequences": answer.sizing.sequences,
        "quantization": answer.sizing.quantization,
        "memoryPerGpu": _memory_data(placement) if placement else None,
        "seconds": {
            "provisioning": timing.provisioning_s,
            "scheduling": timing.scheduling_s,
            "starting": timing.start_s,
            "loading": timing.load_s,
        },
        "plan": plan_status(plan).to_dict(),
    }


def _memory_data(placement: Placement) -> dict[str, int]:
    part: MemoryNeed = placement.memory_per_gpu
    return {
        "weightsBytes": part.weights_bytes,
        "kvCacheBytes": part.kv_cache_bytes,
        "activationBytes": part.activation_bytes,
        "overheadBytes": part.overhead_bytes,
        "neededBytes": placement.needed_bytes_per_gpu,
        "usableBytes": placement.usable_bytes_per_gpu,
    }


def _problem_data(problem: Problem) -> dict[str, str]:
    return {
        "reason": problem.reason,
        "path": problem.path,
        "message": problem.message,
        "nextAction": problem.next_action,
    }


def _nothing_fits(plan: Plan) -> tuple[Problem, ...]:
    """The operator says the same once it finds no node that exists."""
    if plan.preset is None or plan.places is None or plan.places.fitting:
        return ()
    facts = nothing_fits(plan.preset, plan.places, plan.replicas)
    return (Problem("NothingFits", "resource.instanceType", facts),)


def _about_options(plan: Plan, options: Options) -> tuple[str, ...]:
    said = []
    if plan.preset and options.context and options.context > plan.preset.architecture.max_context_tokens:
        most = plan.preset.architecture.max_context_tokens
        said.append(
            f"{plan.preset.name} takes {most:,} tokens: so many are planned, not {options.context:,}."
        )
    if options.quantization:
        said.append("No field of a Workspace asks for quantization yet: this is what it would need.")
    return tuple(said)


def _refuse(found: tuple[Fault, ...], *, as_json: bool) -> None:
    for fault in found:
        sys.stderr.write(f"kaito: {fault}\n")
    if as_json:
        action = finding("InvalidSpec", detail="").next_action
        problems = [
            {"reason": "InvalidSpec", "path": fault.path, "message": fault.cause, "nextAction": action}
            for fault in found
        ]
        sys.stdout.write(json.dumps({"verdict": "invalid", "problems": problems}, indent=2) + "\n")
