"""The rules below `tuning`; see `rules.py` for what the kinds of rule do to stored objects.

v0.3.0 kept input and output immutable, and so do these: a Job that has run does not look at them again.
"""

from typing import Final

from kaito_operator.api.schema import RECREATE, Rule, unchanged, value

_EMPTY: Final = "''"
_NONE: Final = "[]"
_HAS_IMAGE: Final = f"{value('self', 'image', _EMPTY)} != ''"
_URLS: Final = value("self", "urls", _NONE)
_OLD_URLS: Final = value("oldSelf", "urls", _NONE)
_HAS_URLS: Final = f"{_URLS}.size() > 0"
_SOURCES: Final = " + ".join(f"({has} ? 1 : 0)" for has in (_HAS_URLS, "has(self.volumeSource)", _HAS_IMAGE))

TUNING: Final = (
    Rule(
        "has(self.preset)",
        "Preset must be specified; set tuning.preset.name to the model to start from",
        reason="FieldValueRequired",
    ),
    Rule(
        "has(self.method)",
        "Method must be specified; set tuning.method to lora or qlora",
        reason="FieldValueRequired",
    ),
    Rule(
        "has(self.input)",
        "Input must be specified; set one of image, urls and volumeSource in tuning.input",
        reason="FieldValueRequired",
    ),
    Rule(
        "has(self.output)",
        "Output must be specified; set tuning.output.image and tuning.output.imagePushSecret",
        reason="FieldValueRequired",
    ),
    Rule(
        "has(self.preset) == has(oldSelf.preset) || !has(oldSelf.preset)",
        f"field is immutable: preset cannot be removed after creation; {RECREATE}",
    ),
    Rule(
        "!has(oldSelf.method)"
        " || (has(self.method) && self.method.lowerAscii() == oldSelf.method.lowerAscii())",
        f"field is immutable: method cannot be changed after creation; {RECREATE}",
    ),
)

TUNING_INPUT: Final = (
    Rule(
        f"{_SOURCES} == 1",
        "Exactly one of URLs, Volume, or Image must be specified; keep one of urls, volumeSource and image",
    ),
    Rule(
        " && ".join(
            (
                unchanged("name", _EMPTY),
                unchanged("image", _EMPTY),
                "has(self.volumeSource) == has(oldSelf.volumeSource)",
                f"{_URLS}.all(url, url in {_OLD_URLS})",
                f"{_OLD_URLS}.all(url, url in {_URLS})",
                unchanged("imagePullSecrets", _NONE),
            )
        ),
        f"field is immutable: input cannot be changed after creation; {RECREATE}",
    ),
)

TUNING_OUTPUT: Final = (
    Rule(
        f"has(self.volumeSource) != ({_HAS_IMAGE})",
        "Exactly one of Volume or Image must be specified; keep one of image and volumeSource",
    ),
    Rule(
        f"!({_HAS_IMAGE}) || {value('self', 'imagePushSecret', _EMPTY)} != ''",
        "Must specify imagePushSecret with destination image; set it to the name of a Secret of type "
        "kubernetes.io/dockerconfigjson that may push there",
        reason="FieldValueRequired",
    ),
    Rule(
        f"{unchanged('image', _EMPTY)} && {unchanged('imagePushSecret', _EMPTY)}"
        " && has(self.volumeSource) == has(oldSelf.volumeSource)",
        f"field is immutable: output cannot be changed after creation; {RECREATE}",
    ),
)
