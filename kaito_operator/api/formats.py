"""Texts with a format. Python sees plain strings; the API server checks the form when an object is written.

Patterns are RE2, which has no look-ahead. They stand in rules and not in the schema keyword `pattern`,
because all that the API server says about a wrong pattern is the pattern itself. Every text has a maxLength:
without it a rule's estimated cost is that of the largest request, and the CRD is refused.
"""

from typing import Annotated, Final

from pydantic import Field

from kaito_operator.api.schema import Rule, limits


def _matches(pattern: str, message: str) -> Rule:
    return Rule(f"self.matches(r'^({pattern})$')", message)


_DNS_LABEL: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_LABEL_VALUE: Final = "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"

# Upper-case letters in the path are let through: KAITO's documented manifests carry placeholders such as
# ADAPTER_HERE, and v0.3.0 took them. The kubelet refuses them with InvalidImageName.
_HOST_PART: Final = "[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?"
_HOST: Final = rf"({_HOST_PART}([.]{_HOST_PART})*|\[[0-9A-Fa-f:]+\])(:[0-9]{{1,5}})?"
_PATH_PART: Final = "[A-Za-z0-9]+(([._]|__|-+)[A-Za-z0-9]+)*"
_TAG: Final = "[A-Za-z0-9_][-A-Za-z0-9_.]{0,127}"
_DIGEST: Final = "sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}"
_IMAGE: Final = rf"({_HOST}|{_PATH_PART})(/{_PATH_PART})+(:{_TAG}(@({_DIGEST}))?|@({_DIGEST}))"


def _image(direction: str) -> Rule:
    return _matches(
        _IMAGE,
        f"Invalid image format, require full {direction} image URL; write registry/repository:tag "
        "or registry/repository@sha256:digest",
    )


ImageReference = Annotated[str, Field(json_schema_extra=limits(_image("input"), maxLength=512))]
"""An image to pull: `registry[:port]/path`, then a tag, a digest or both."""

PushReference = Annotated[str, Field(json_schema_extra=limits(_image("output"), maxLength=512))]
"""The same for an image to push."""

_DNS_SUBDOMAIN: Final = rf"{_DNS_LABEL}([.]{_DNS_LABEL})*"
_NOT_A_NAME: Final = (
    "This is not a name that a Kubernetes object can have; use lower-case letters, digits, '-' and '.', "
    "with a letter or digit at both ends"
)

ObjectName = Annotated[
    str, Field(json_schema_extra=limits(_matches(_DNS_SUBDOMAIN, _NOT_A_NAME), maxLength=253))
]
"""Name of an object in the namespace of the Workspace (a DNS-1123 subdomain)."""

OptionalObjectName = Annotated[
    str,
    Field(
        json_schema_extra=limits(
            _matches(f"({_DNS_SUBDOMAIN})?", f"{_NOT_A_NAME}, or leave the field out"), maxLength=253
        )
    ),
]
"""The same where v0.3.0 reads the empty text as absent."""

NodeName = Annotated[str, Field(json_schema_extra=limits(maxLength=253))]
"""Name of a node; one that does not exist is merely not preferred."""

InstanceType = Annotated[
    str,
    Field(
        json_schema_extra=limits(
            _matches(
                _LABEL_VALUE,
                "This is not the name of an instance type; write it as the cloud does, in letters, digits, "
                "'-', '_' and '.', or leave the field out to have one chosen",
            ),
            maxLength=63,
        )
    ),
]
"""Name of an instance type: the value of the label node.kubernetes.io/instance-type."""

LABEL_KEY: Final = rf"({_DNS_SUBDOMAIN}/)?{_LABEL_VALUE}"
NOT_A_LABEL_KEY: Final = (
    "This is not a label key; use letters, digits, '-', '_' and '.', with a letter or digit at both ends, "
    "and before them a DNS name and '/' if you like"
)

LabelKey = Annotated[
    str, Field(json_schema_extra=limits(_matches(LABEL_KEY, NOT_A_LABEL_KEY), maxLength=317))
]

LabelValue = Annotated[
    str,
    Field(
        json_schema_extra=limits(
            _matches(
                f"({_LABEL_VALUE})?",
                "This is not a label value; use letters, digits, '-', '_' and '.', "
                "with a letter or digit at both ends",
            ),
            maxLength=63,
        )
    ),
]

PresetName = Annotated[
    str,
    Field(
        json_schema_extra=limits(
            _matches(
                "[A-Za-z0-9][-A-Za-z0-9_.]*(/[A-Za-z0-9][-A-Za-z0-9_.]*)?",
                "This is not the name of a model; write the name of a preset, in letters, digits, '-', "
                "'_' and '.', or owner/model as on a model hub",
            ),
            maxLength=192,
        )
    ),
]
"""Name of a preset, or `owner/model` on a hub."""

WeightsPath = Annotated[
    str,
    Field(
        json_schema_extra=limits(
            Rule(
                "self.matches(r'^[^[:cntrl:]]+$') && !self.matches(r'(^|/)[.][.](/|$)')",
                "This is not a path inside the image or volume; write it without '..', such as weights/model",
            ),
            maxLength=1024,
        )
    ),
]

WebAddress = Annotated[
    str,
    Field(
        json_schema_extra=limits(
            _matches(
                r"https?://[^/?#\s]+([/?#]\S*)?",
                "This is not an address to download from; write a full one that starts with https:// or http://",
            ),
            maxLength=2048,
        )
    ),
]

Strength = Annotated[
    str,
    Field(
        json_schema_extra=limits(
            # double() of a text that is no number stops the rule with an error of its own: look first.
            Rule(
                r"self.matches(r'^[+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][-+]?[0-9]+)?$')"
                " && double(self) >= 0.0 && double(self) <= 1.0",
                "Strength value for Adapter must be between 0 and 1; "
                'write it as quoted text, such as strength: "0.5"',
            ),
            maxLength=32,
        )
    ),
]
"""A number from 0 to 1 as text; Python's float() reads whatever is admitted."""

TuningMethod = Annotated[
    str,
    Field(
        json_schema_extra=limits(
            _matches("(?i)lora|qlora", "Method is not supported; write lora or qlora"), maxLength=16
        )
    ),
]
"""lora or qlora in any case: v0.3.0's webhook let "LoRA" through, so stored objects hold it."""
