"""How many tokens a request may generate: pure arithmetic on tokens."""

from __future__ import annotations

from dataclasses import dataclass

from inference_server.errors import BadRequest, TooLong

DEFAULT_NEW_TOKENS = 200


@dataclass(frozen=True)
class Lengths:
    """`keep` is how many of the prompt's last tokens the model is given; the rest counts new tokens."""

    keep: int
    max_new_tokens: int
    min_new_tokens: int


@dataclass(frozen=True)
class Wish:
    """What a request says about length. max_length and min_length count the prompt, the others do not."""

    max_length: int | None = None
    max_new_tokens: int | None = None
    min_length: int = 0
    cut_prompt: bool = False  # handle_long_generation "hole": drop the prompt's beginning if it must be


def plan_lengths(prompt_tokens: int, wish: Wish, context_tokens: int | None) -> Lengths:
    """Fit a request into the context.

    New tokens are max_new_tokens, else max_length less the prompt, else 200; in any case no more than the
    context leaves after the prompt. A cut prompt makes room for all of them instead.

    Raises:
        BadRequest: an empty prompt, one that fills the context, or one that max_length leaves no room after.
    """
    if prompt_tokens == 0:
        raise BadRequest("the prompt has 0 tokens; write at least one")
    wanted = _wanted_new_tokens(prompt_tokens, wish)
    keep = prompt_tokens
    if context_tokens is not None:
        if wish.cut_prompt and prompt_tokens + wanted > context_tokens:
            keep = context_tokens - wanted
            if keep < 1:
                raise BadRequest(
                    f"{wanted} new tokens leave no room for the prompt in a context of {context_tokens} "
                    "tokens; ask for fewer in max_new_tokens"
                )
        if keep >= context_tokens:
            raise TooLong.of(prompt_tokens, context_tokens)
        wanted = min(wanted, context_tokens - keep)
    minimum = min(max(wish.min_length - keep, 0), wanted)
    return Lengths(keep=keep, max_new_tokens=wanted, min_new_tokens=minimum)


def _wanted_new_tokens(prompt_tokens: int, wish: Wish) -> int:
    if wish.max_new_tokens is not None:
        return wish.max_new_tokens
    if wish.max_length is None:
        return DEFAULT_NEW_TOKENS
    if wish.max_length <= prompt_tokens:
        raise BadRequest(
            f"max_length is {wish.max_length} tokens for prompt and answer together and the prompt has "
            f"{prompt_tokens}; raise it, or give max_new_tokens, which does not count the prompt"
        )
    return wish.max_length - prompt_tokens
