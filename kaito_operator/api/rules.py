"""What a Workspace may say beyond its schema, as CEL rules that the API server enforces by itself.

The rules of single texts are in `formats.py`. Where KAITO v0.3.0 has a text for an error, it is kept, and the
next action added. Checks that need the preset or instance type tables cannot stand here.

Three kinds of rule, by what they do to objects that v0.3.0's CRD let in:

* `Rule` that does not name oldSelf: the API server skips it while its node is unchanged.
* `tolerant`: where the API server cannot do that, the rule itself allows what was stored in breach.
* `Rule` that compares self with oldSelf: it runs on updates only, and holds for what is unchanged.
"""

from collections.abc import Mapping
from typing import Final

from kaito_operator.api.formats import LABEL_KEY, NOT_A_LABEL_KEY
from kaito_operator.api.schema import RECREATE, Rule, tolerant, unchanged, value
from kaito_operator.api.tuning_rules import TUNING, TUNING_INPUT, TUNING_OUTPUT


def _was_in_breach(either: str, other: str) -> str:
    """CEL: exactly one of two fields was wanted, and the stored node has both or neither."""
    return f"has(oldSelf.{either}) == has(oldSelf.{other})"


_EMPTY: Final = "''"
_PUBLIC: Final = "'public'"
_COUNT: Final = value("self", "resource.count", "1")
_OLD_COUNT: Final = value("oldSelf.value()", "resource.count", "1")

ROOT: Final = (
    tolerant(
        lambda of: f"has({of}.inference) || has({of}.tuning)",
        "Either Inference or Tuning must be specified, not neither; "
        "add inference: to serve a model, or tuning: to fine-tune one",
        reason="FieldValueRequired",
        field=".inference",
    ),
    tolerant(
        lambda of: f"!has({of}.inference) || !has({of}.tuning)",
        "Either Inference or Tuning must be specified, but not both; "
        "remove one of them, or make it a Workspace of its own",
        reason="FieldValueForbidden",
        field=".tuning",
    ),
    Rule(
        f"has(self.inference) == has(oldSelf.inference) || {_was_in_breach('inference', 'tuning')}",
        "Inference field cannot be toggled once set; create another Workspace instead",
        reason="FieldValueForbidden",
        field=".inference",
    ),
    Rule(
        f"has(self.tuning) == has(oldSelf.tuning) || {_was_in_breach('inference', 'tuning')}",
        "Tuning field cannot be toggled once set; create another Workspace instead",
        reason="FieldValueForbidden",
        field=".tuning",
    ),
    Rule(
        "oldSelf.hasValue()"
        " || (self.metadata.name.size() <= 52 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$'))",
        "metadata.name also names a Service and pods; use at most 52 lower-case letters, digits and '-', "
        "beginning with a letter and ending with a letter or digit",
        optional_old_self=True,
    ),
    Rule(
        f"!has(self.tuning) || {_COUNT} <= 1 || (oldSelf.hasValue() && {_COUNT} <= {_OLD_COUNT})",
        "Tuning does not currently support multinode configurations. Please set the node count to 1: "
        "set resource.count to 1, or leave it out",
        field=".resource",
        optional_old_self=True,
    ),
    # At the root, not on resource: there nothing would see that resource itself was removed or added.
    Rule(
        unchanged("resource.instanceType", _EMPTY),
        f"field is immutable: instanceType cannot be set, changed or removed after creation; {RECREATE}",
        field=".resource",
    ),
    Rule(
        f"{unchanged('resource.labelSelector.matchLabels', '{}')}"
        f" && {unchanged('resource.labelSelector.matchExpressions', '[]')}",
        f"field is immutable: labelSelector cannot be set, changed or removed after creation; {RECREATE}",
        field=".resource",
    ),
)

SELECTOR: Final = (
    Rule(
        "!has(self.matchExpressions) || self.matchExpressions.all(e,"
        " has(e.key) && has(e.operator) && e.operator == 'In' && has(e.values) && e.values.size() == 1)",
        "Only allow matchLabels or 'IN' matchExpression with one value; write the label under matchLabels",
        field=".matchExpressions",
    ),
    Rule(
        f"!has(self.matchLabels) || self.matchLabels.all(key,"
        f" key.size() <= 317 && key.matches(r'^({LABEL_KEY})$'))",
        NOT_A_LABEL_KEY,
        field=".matchLabels",
    ),
)

INFERENCE: Final = (
    tolerant(
        lambda of: f"has({of}.preset) || has({of}.template)",
        "Preset or Template must be specified; set inference.preset.name to the name of a model",
        reason="FieldValueRequired",
    ),
    tolerant(
        lambda of: f"!has({of}.preset) || !has({of}.template)",
        "Preset and Template cannot be set at the same time; remove one of them",
        reason="FieldValueForbidden",
    ),
    Rule(
        f"has(self.preset) == has(oldSelf.preset) || {_was_in_breach('preset', 'template')}",
        f"field is immutable: preset cannot be set or removed after creation; {RECREATE}",
    ),
    Rule(
        f"has(self.template) == has(oldSelf.template) || {_was_in_breach('preset', 'template')}",
        f"field cannot be unset/set if it was set/unset: template; {RECREATE}",
    ),
    tolerant(
        lambda of: f"!has({of}.template) || !has({of}.adapters) || {of}.adapters.size() == 0",
        "Adapters are loaded on presets only; remove adapters, or load them in your own template",
        reason="FieldValueForbidden",
        field=".adapters",
    ),
    tolerant(
        lambda of: f"!has({of}.template) || !has({of}.server)",
        "server says how presets are served; remove server, or set its values in your own template",
        reason="FieldValueForbidden",
        field=".server",
    ),
)

TEMPLATE: Final = (
    tolerant(
        lambda of: f"has({of}.spec) && has({of}.spec.containers) && {of}.spec.containers.size() > 0",
        "A template needs a container to run; set template.spec.containers",
        reason="FieldValueRequired",
    ),
)

PRESET: Final = (
    Rule(
        " && ".join(
            (
                "self.name == oldSelf.name",
                unchanged("accessMode", _PUBLIC),
                unchanged("presetOptions.image", _EMPTY),
                unchanged("presetOptions.imagePullSecrets", "[]"),
                unchanged("presetOptions.trustRemoteCode", "false"),
                unchanged("presetOptions.modelAccessSecret", _EMPTY),
                unchanged("presetOptions.volumeClaim", _EMPTY),
                unchanged("presetOptions.weightsPath", _EMPTY),
                unchanged("presetOptions.weightsFrom", _EMPTY),
            )
        ),
        f"field is immutable: preset cannot be changed after creation; {RECREATE}",
    ),
    Rule(
        f"{value('self', 'accessMode', _PUBLIC)} != 'private' || "
        f"{value('self', 'presetOptions.image', _EMPTY)} != '' || "
        f"{value('self', 'presetOptions.volumeClaim', _EMPTY)} != '' || "
        f"{value('self', 'presetOptions.weightsFrom', _EMPTY)} == 'hub'",
        "When AccessMode is private, an image must be provided in PresetOptions; set presetOptions.image to "
        "the image that holds the weights, or name another source with volumeClaim or weightsFrom: hub",
        reason="FieldValueRequired",
    ),
)

PRESET_OPTIONS: Final = (
    Rule(
        "!has(self.weightsFrom) || self.weightsFrom != 'volumeClaim' || has(self.volumeClaim)",
        "weightsFrom: volumeClaim needs a volume; set volumeClaim to the name of a PersistentVolumeClaim",
        reason="FieldValueRequired",
    ),
    Rule(
        "!has(self.weightsFrom) || self.weightsFrom == 'volumeClaim' || !has(self.volumeClaim)",
        "volumeClaim is not used with this weightsFrom; remove volumeClaim, or set weightsFrom: volumeClaim",
        reason="FieldValueForbidden",
    ),
)

ADAPTERS: Final = (
    Rule(
        "self.all(a, !has(a.source) || !has(a.source.name)"
        " || self.exists_one(b, has(b.source) && has(b.source.name) && b.source.name == a.source.name))",
        "Duplicate adapter source name found; give each adapter a source.name of its own",
    ),
)

ADAPTER: Final = (
    Rule(
        "has(self.source)",
        "Adapter source must be specified; set source.name and source.image",
        reason="FieldValueRequired",
    ),
)

ADAPTER_SOURCE: Final = (
    Rule(
        "has(self.name)",
        "Adapter source name must be specified; set source.name",
        reason="FieldValueRequired",
    ),
    Rule(
        "!has(self.name) || (self.name.size() <= 63 && self.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'))",
        "Adapter source name also names a container and a folder; use at most 63 lower-case letters, digits "
        "and '-', with a letter or digit at both ends",
        field=".name",
    ),
    Rule(
        "!has(self.urls) || self.urls.size() == 0",
        "Adapters are not loaded from urls; push the adapter as an image with its files in /data, "
        "and set source.image",
        reason="FieldValueForbidden",
        field=".urls",
    ),
    Rule(
        "!has(self.volumeSource)",
        "Volume support is not implemented yet for adapters; push the adapter as an image with its files in "
        "/data, and set source.image",
        reason="FieldValueForbidden",
        field=".volumeSource",
    ),
    Rule(
        "has(self.image)",
        "Adapter image must be specified; set source.image to the image that holds the adapter in /data",
        reason="FieldValueRequired",
    ),
)

RULES: Final[Mapping[str, tuple[Rule, ...]]] = {
    "": ROOT,
    "resource.labelSelector": SELECTOR,
    "inference": INFERENCE,
    "inference.template": TEMPLATE,
    "inference.preset": PRESET,
    "inference.preset.presetOptions": PRESET_OPTIONS,
    "inference.adapters": ADAPTERS,
    "inference.adapters[]": ADAPTER,
    "inference.adapters[].source": ADAPTER_SOURCE,
    "tuning": TUNING,
    "tuning.preset": PRESET,
    "tuning.preset.presetOptions": PRESET_OPTIONS,
    "tuning.input": TUNING_INPUT,
    "tuning.output": TUNING_OUTPUT,
}
"""Path of the schema node -> its rules; "" is the root, "[]" stands for the items of a list."""
