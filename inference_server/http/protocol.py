"""Bodies of requests and responses, as in v0.3.0. What is wrong in type is a 422, in range a 400."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator


def _as_list(value: object) -> object:
    """Let one item stand for a list of one; the list's own validation judges the rest."""
    return value if isinstance(value, list) or value is None else [value]


TokenId = Annotated[int, Field(ge=0)]
TokenIds = Annotated[list[TokenId] | None, BeforeValidator(_as_list)]
StopText = Annotated[str, Field(min_length=1, max_length=256)]
StopTexts = Annotated[list[StopText] | None, BeforeValidator(_as_list)]
Zero = Annotated[float | None, Field(ge=0, le=0)]
Unset = Literal[False] | None


class GenerateKwargs(BaseModel):
    """How to generate. Closed: an unknown key is refused by name and never reaches the library.

    The first twelve are v0.3.0's, with its defaults. The last block is accepted at its neutral value only:
    the examples in v0.3.0's documentation carry these keys, and they must go on working.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    max_length: int | None = Field(None, ge=1, description="Prompt and new tokens together.")
    min_length: int = Field(0, ge=0, description="Prompt and new tokens together.")
    do_sample: bool = Field(True, description="false: always the likeliest token.")
    early_stopping: bool = Field(False, description="With beams: end when num_beams answers are complete.")
    num_beams: int = Field(1, ge=1, le=16)
    temperature: float = Field(1.0, ge=0, le=100, description="0 is the same as do_sample false.")
    top_k: int = Field(10, ge=0, le=1_000_000, description="0: no limit.")
    top_p: float = Field(1.0, gt=0, le=1)
    typical_p: float = Field(1.0, gt=0, le=1)
    repetition_penalty: float = Field(1.0, gt=0, le=100)
    pad_token_id: TokenId | None = Field(None, description="Default: the tokenizer's.")
    eos_token_id: TokenIds = Field(
        None, max_length=16, description="One id or a list; default: all that tokenizer and model name."
    )

    max_new_tokens: int | None = Field(None, ge=1, description="Without the prompt; wins over max_length.")
    no_repeat_ngram_size: int = Field(0, ge=0, le=1000)
    length_penalty: float = Field(1.0, ge=-100, le=100, description="With beams: above 0 favours long.")
    num_return_sequences: int = Field(1, ge=1, le=4, description="Answers, one below the other in Result.")
    seed: int | None = Field(None, ge=0, lt=2**63, description="The same seed draws the same answer.")
    stop: StopTexts = Field(None, max_length=8, description="Texts that end the answer; cut off it.")
    stop_sequence: StopText | None = Field(None, description="One more stop text (v0.3.0's name).")

    num_beam_groups: Annotated[int | None, Field(ge=1, le=1)] = None
    diversity_penalty: Zero = None
    encoder_no_repeat_ngram_size: Zero = None
    bad_words_ids: None = None
    forced_bos_token_id: None = None
    forced_eos_token_id: None = None
    output_scores: Unset = None
    return_dict_in_generate: Unset = None
    remove_invalid_values: Unset = None

    @property
    def samples(self) -> bool:
        """Say whether tokens are drawn at random."""
        return self.do_sample and self.temperature > 0

    @property
    def stop_texts(self) -> tuple[str, ...]:
        """Return `stop` and `stop_sequence` together."""
        single = [self.stop_sequence] if self.stop_sequence else []
        return (*(self.stop or []), *single)

    @model_validator(mode="after")
    def _fits_together(self) -> GenerateKwargs:
        if not self.samples and self.num_return_sequences > self.num_beams:
            raise ValueError(
                f"num_return_sequences {self.num_return_sequences} needs do_sample true or as many "
                "num_beams: without chance all answers are the same"
            )
        if self.max_length is not None and self.max_new_tokens is None and self.min_length > self.max_length:
            raise ValueError(f"min_length {self.min_length} is above max_length {self.max_length}")
        return self


class Message(BaseModel):
    """One turn of a conversation."""

    model_config = ConfigDict(frozen=True)

    role: Literal["system", "user", "assistant"]
    content: str


class ChatRequest(BaseModel):
    """The body of POST /chat: `prompt`, or else `messages`. Unknown top-level keys are ignored."""

    model_config = ConfigDict(frozen=True)

    model: str | None = Field(
        None, max_length=256, description="An adapter, or WORKSPACE:base; see /v1/models."
    )
    prompt: str | None = Field(None, examples=["What is the capital of France?"])
    messages: list[Message] | None = None
    return_full_text: bool | None = Field(
        None, description="Put the prompt before the answer; default: only for models without chat template."
    )
    clean_up_tokenization_spaces: bool | None = False
    prefix: str | None = Field(None, description="Put before the prompt, and not returned.")
    handle_long_generation: Literal["hole"] | None = Field(
        None, description="hole: drop the beginning of a prompt that does not fit."
    )
    generate_kwargs: GenerateKwargs | None = None


class ChatResponse(BaseModel):
    """The answer to POST /chat."""

    Result: str


class Detail(BaseModel):
    """The body of every error but a 422."""

    detail: str


# Errors of pydantic that are about a value of the right type; all others are about types.
_RANGE_ERRORS = frozenset(
    {
        "extra_forbidden",
        "finite_number",
        "greater_than",
        "greater_than_equal",
        "less_than",
        "less_than_equal",
        "literal_error",
        "none_required",
        "string_too_long",
        "string_too_short",
        "too_long",
        "too_short",
        "value_error",
    }
)


def range_problem(errors: Sequence[Mapping[str, Any]]) -> str | None:
    """Put pydantic's errors into one sentence of a 400; None if one is about types, which is a 422."""
    if not errors or any(error["type"] not in _RANGE_ERRORS for error in errors):
        return None
    return "; ".join(dict.fromkeys(_sentence(error) for error in errors))


def _sentence(error: Mapping[str, Any]) -> str:
    path = [str(part) for part in error["loc"] if part != "body"]
    where = ".".join(path)
    if error["type"] == "extra_forbidden":
        allowed = ", ".join(GenerateKwargs.model_fields)
        return f"{path[0]}: unknown key {path[-1][:64]!r}; allowed are {allowed}"
    if error["type"] == "value_error":
        return f"{where}: {error['ctx']['error']}"
    key = path[1] if len(path) > 1 and path[0] == "generate_kwargs" else ""
    allowed = _range(key)
    return f"{where}: {error['msg']}" + (f"; allowed: {allowed}" if allowed else "")


def _range(key: str) -> str:
    """Say the range of a number of generate_kwargs in words; '' where it has none."""
    field = GenerateKwargs.model_fields.get(key)
    words = []
    for rule in field.metadata if field else ():
        match rule:
            case Ge(ge=low):
                words.append(f"{low} or more")
            case Gt(gt=low):
                words.append(f"more than {low}")
            case Le(le=high):
                words.append(f"at most {high}")
            case Lt(lt=high):
                words.append(f"less than {high}")
    return ", ".join(words)
