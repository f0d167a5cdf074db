"""Fields that /v1/chat/completions and /v1/completions share, and how their values are checked.

Unknown fields are ignored, as OpenAI's own servers do: clients send newer ones. Known ones are strict: a
number in quotes is refused, since it shows that the caller meant something else.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

MAX_CHOICES = 16
MAX_TOP_LOGPROBS = 20
_MAX_BIASES = 1024
_MAX_STOPS = 8
_MAX_DEPTH = 64


class Strict(BaseModel):
    """Base of all bodies."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, allow_inf_nan=False)


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _biases(value: dict[str, float]) -> dict[str, float]:
    for key, bias in value.items():
        if not (key.isascii() and key.isdigit() and len(key) < 10):
            raise ValueError("the keys have to be token ids in decimal digits")
        if not -100 <= bias <= 100:
            raise ValueError("the values have to be numbers from -100 to 100")
    return value


def valid_text(value: str) -> str:
    """Refuse half of a surrogate pair: JSON can write it, but it is no character and has no bytes."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("half of a surrogate pair, which is no character; send valid Unicode") from None
    return value


def check_json(value: object) -> object:
    """Refuse JSON that cannot be written out again: texts without bytes, or nested so deep as the stack."""
    level: list[object] = [value]
    for _ in range(_MAX_DEPTH):
        level = [child for parent in level for child in _children(parent)]
        for text in level:
            if isinstance(text, str):
                valid_text(text)
        if not level:
            return value
    raise ValueError(f"nested deeper than {_MAX_DEPTH} levels; send a flatter one")


def _children(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return [*value, *value.values()]
    return value if isinstance(value, list) else ()


Text = Annotated[str, AfterValidator(valid_text)]
StopText = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(valid_text)]
Name = StopText  # of a function, a call or a speaker: the same limits
_STOP_TEXT: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 256}
StopTexts = Annotated[
    list[StopText],
    BeforeValidator(_as_list),
    Field(max_length=_MAX_STOPS),
    WithJsonSchema({"anyOf": [_STOP_TEXT, {"type": "array", "items": _STOP_TEXT, "maxItems": _MAX_STOPS}]}),
]
Biases = Annotated[
    dict[str, float],
    Field(max_length=_MAX_BIASES),
    AfterValidator(_biases),
    WithJsonSchema(
        {
            "type": "object",
            "maxProperties": _MAX_BIASES,
            "propertyNames": {"pattern": "^[0-9]{1,9}$"},
            "additionalProperties": {"type": "number", "minimum": -100, "maximum": 100},
        }
    ),
]
JsonObject = Annotated[dict[str, Any], AfterValidator(check_json)]


class StreamOptions(Strict):
    """How to stream. `include_usage`: one more chunk at the end with the numbers of tokens."""

    include_usage: bool | None = None


class SamplingFields(Strict):
    """What both routes take. null is the same as leaving a field out."""

    model: Annotated[str, Field(max_length=256)] | None = Field(
        None, description="A name that /v1/models lists; default: the model with its adapters."
    )
    max_tokens: Annotated[int, Field(ge=1)] | None = Field(None, description="New tokens of each choice.")
    temperature: Annotated[float, Field(ge=0, le=2)] | None = Field(
        None, description="Default 1; 0: always the likeliest token."
    )
    top_p: Annotated[float, Field(ge=0, le=1)] | None = Field(None, description="Default 1.")
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = Field(None, description="Choices; default 1.")
    stop: StopTexts | None = Field(None, description="Texts that end a choice; they are cut off.")
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = Field(
        None, description="The same seed draws the same answer."
    )
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = Field(None, description="Default 0.")
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = Field(None, description="Default 0.")
    logit_bias: Biases | None = Field(None, description="Token ids to what is added to their logits.")
    stream: bool | None = Field(None, description="Answer by server-sent events.")
    stream_options: StreamOptions | None = None

    top_k: Annotated[int, Field(ge=-1, le=1_000_000)] | None = Field(
        None, description="Not OpenAI's. Draw from this many tokens; 0, -1 and the default: no limit."
    )
    min_p: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="Not OpenAI's. Least probability, relative to the likeliest token's; default 0."
    )
    typical_p: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="Not OpenAI's. Default 1."
    )
    repetition_penalty: Annotated[float, Field(gt=0, le=100)] | None = Field(
        None, description="Not OpenAI's. Default 1."
    )
    ignore_eos: bool | None = Field(None, description="Not OpenAI's. End tokens end nothing.")

    @property
    def choices(self) -> int:
        """Return how many answers are wanted to each prompt."""
        return self.n or 1

    @property
    def includes_usage(self) -> bool:
        """Say whether a stream ends with its usage."""
        return bool(self.stream_options and self.stream_options.include_usage)

    def check_stream_options(self) -> None:
        """Refuse stream_options without a stream, as OpenAI does.

        Raises:
            ValueError: the sentence for the client.
        """
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options is only for stream true; leave it out")
