"""The rules below `tuning`; see `rules.py` for what the kinds of rule do to stored objects.

v0.3.0 kept input and output immutable, and so do these: a Job that has run does not look at them again.
"""

from typing import Final

from kaito_operator.api.schema import RECREATE, Rule, tolerant, unchanged, value

_EMPTY: Final = "''"
_NONE: Final = "[]"
_URLS: Final = value("self", "urls", _NONE)
_OLD_URLS: Final = value("oldSelf", "urls", _NONE)


def _has_image(of: str) -> str:
    return f"{value(of, 'image', _EMPTY)} != ''"


def _sources(of: str) -> str:
    """CEL: how many of the three places of a DataSource are named."""
    places = (f"{value(of, 'urls', _NONE)}.size() > 0", f"has({of}.volumeSource)", _has_image(of))
    return " + ".join(f"({place} ? 1 : 0)" for place in places)


TUNING: Final = (
    tolerant(
        lambda of: f"has({of}.preset)",
        "Preset must be specified; set tuning.preset.name to the model to start from",
        reason="FieldValueRequired",
    ),
    tolerant(
        lambda of: f"has({of}.method)",
        "Method must be specified; set tuning.method to lora or qlora",
        reason="FieldValueRequired",
    ),
    tolerant(
        lambda of: f"has({of}.input)",
        "Input must be specified; set one of image, urls and volumeSource in tuning.input",
        reason="FieldValueRequired",
    ),
    tolerant(
        lambda of: f"has({of}.output)",
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
    tolerant(
        lambda of: f"{_sources(of)} == 1",
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
    tolerant(
        lambda of: f"has({of}.volumeSource) != ({_has_image(of)})",
        "Exactly one of Volume or Image must be specified; keep one of image and volumeSource",
    ),
    tolerant(
        lambda of: f"!({_has_image(of)}) || {value(of, 'imagePushSecret', _EMPTY)} != ''",
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
