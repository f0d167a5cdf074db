"""What is wrong with a Workspace that only the catalog can tell. The rest is in the CRD's own rules.

The API server applies those rules to new objects; objects that were stored before them come here as they
are. So this also refuses what would leave nothing to render, and every Workspace without a problem can be.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from kaito_operator.api.reasons import finding
from kaito_operator.api.workspace import InferenceSpec, PresetOptions, PresetSpec, TuningSpec, Workspace
from kaito_operator.planner.choice import choose
from kaito_operator.planner.memory import PLANNED, Sizing
from kaito_operator.planner.misfit import named_misfit
from kaito_operator.planner.plan import named_type, node_count, sizing_of
from kaito_operator.settings import RuntimeSettings
from presets.catalog import Catalog, Preset, WeightsFormat

AS_INSTALLED: Final = RuntimeSettings(runtime_image="")
"""The settings that count where none are given: those of a fresh installation."""

LOADABLE_FORMATS: Final[frozenset[WeightsFormat]] = frozenset({"safetensors", "bin"})
"""Checkpoints that the inference server loads."""


@dataclass(frozen=True)
class Problem:
    """One thing that keeps a Workspace from being served.

    Attributes:
        reason: code of a row of `api.reasons`, which has the words.
        path: of the field to change, from the root of the object.
        facts: what fills the holes of the row.
    """

    reason: str
    path: str
    facts: Mapping[str, str]

    @property
    def message(self) -> str:
        """What is wrong, as a sentence."""
        return finding(self.reason, **self.facts).message

    @property
    def next_action(self) -> str:
        """What the user does about it."""
        return finding(self.reason, **self.facts).next_action


def validate(
    workspace: Workspace,
    catalog: Catalog,
    runtime: RuntimeSettings = AS_INSTALLED,
    sizing: Sizing = PLANNED,
) -> tuple[Problem, ...]:
    """Everything that is wrong, the first to be cured first; empty when it can be served. Raises nothing."""
    return (*_of_text(workspace, catalog), *_of_instance_type(workspace, catalog, runtime, sizing))


def _of_text(workspace: Workspace, catalog: Catalog) -> Iterator[Problem]:
    if workspace.tuning is not None:
        yield from _of_tuning(workspace.tuning, catalog)
    elif workspace.inference is None:
        yield _problem("InvalidSpec", "inference", detail="Either Inference or Tuning must be specified")
    if workspace.inference is not None:
        count = workspace.resource.count if workspace.resource else 1
        yield from _of_inference(workspace.inference, count, catalog)


def _problem(reason: str, path: str, **facts: str) -> Problem:
    return Problem(reason, path, MappingProxyType(facts))


def _of_tuning(tuning: TuningSpec, catalog: Catalog) -> Iterator[Problem]:
    if tuning.preset is None:
        detail = "this one names no preset to start from"
        yield _problem("TuningUnsupported", "tuning.preset", detail=detail)
        return
    row = catalog.get(tuning.preset.name)
    if row is None:
        yield _unknown(tuning.preset.name, "tuning.preset.name", catalog)
    elif row.tuning:
        yield _problem("TuningUnsupported", "tuning", detail=f"{row.name} could be tuned by one that does")
    else:
        bases = ", ".join(preset.name for preset in catalog.values() if preset.tuning)
        detail = f"and {row.name} would be no base for one; these are: {bases}"
        yield _problem("TuningUnsupported", "tuning.preset.name", detail=detail)


def _of_inference(inference: InferenceSpec, count: int, catalog: Catalog) -> Iterator[Problem]:
    preset = inference.preset
    if preset is None:
        if inference.template is None:
            yield _problem("InvalidSpec", "inference", detail="Preset or Template must be specified")
        return
    if inference.template is not None:
        detail = "Preset and Template cannot be set at the same time"
        yield _problem("InvalidSpec", "inference", detail=detail)
        return
    row = catalog.get(preset.name)
    if row is None:
        yield _unknown(preset.name, "inference.preset.name", catalog)
        return
    yield from _of_weights(preset, row)
    if row.distributed and count > 1 and inference.adapters:
        yield _problem("AdaptersUnsupported", "inference.adapters", preset=row.name, count=str(count))


def _of_instance_type(
    workspace: Workspace, catalog: Catalog, runtime: RuntimeSettings, sizing: Sizing
) -> Iterator[Problem]:
    """A named type that the preset does not fit. Without a preset nobody knows what is needed."""
    inference, named = workspace.inference, named_type(workspace)
    if named is None or inference is None or inference.preset is None or inference.template is not None:
        return
    row = catalog.get(inference.preset.name)
    if row is None:
        return
    sizing = sizing_of(workspace, sizing)
    choice = choose(row, named, node_count(workspace), catalog.instance_types, runtime, sizing)
    misfit = named_misfit(row, choice, catalog.instance_types, runtime.oldest_gpu)
    if misfit:
        code, facts = misfit
        yield _problem(code, "resource.instanceType", **facts)


def _unknown(name: str, path: str, catalog: Catalog) -> Problem:
    return _problem("PresetUnknown", path, preset=name, nearest=", ".join(catalog.nearest(name, 3)))


def _of_weights(preset: PresetSpec, row: Preset) -> Iterator[Problem]:
    options = preset.preset_options
    own_source = options.image or options.volume_claim or options.weights_from == "hub"
    if row.private and (preset.access_mode != "private" or not own_source):
        yield _problem("PresetPrivate", "inference.preset.accessMode", preset=row.name)
        return
    if options.weights_from == "hub" or _only_the_hub_is_left(options, row):
        if row.hub.gated and not options.model_access_secret:
            path = "inference.preset.presetOptions.modelAccessSecret"
            yield _problem("HubTokenMissing", path, preset=row.name, repository=row.hub.id)
        elif row.hub.format != "safetensors":
            detail = f"{row.hub.id} holds them as *.{row.hub.format} only, which is not downloaded"
            yield _problem("WeightsFormat", "inference.preset.presetOptions.weightsFrom", detail=detail)
        return
    if not options.volume_claim and not options.weights_path and _unloadable(row):
        # With a path of the user's own the image has another layout than v0.3.0's, so we cannot know.
        yield _problem(
            "WeightsFormat",
            "inference.preset.presetOptions.image",
            detail=f"an image of {row.name} as v0.3.0 builds it holds Meta's checkpoint (*.pth) in "
            f"{row.weights.image.path}; set presetOptions.weightsPath when yours has another layout",
        )


def _only_the_hub_is_left(options: PresetOptions, row: Preset) -> bool:
    """Nobody publishes an image, and the user names neither one nor a volume."""
    own = options.image or options.volume_claim
    return not own and row.weights.image.registry is None


def _unloadable(row: Preset) -> bool:
    return row.weights.image.format not in LOADABLE_FORMATS
