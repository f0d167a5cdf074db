"""Chat template rules: from `prompt` or `messages` to the token ids that the model is given.

Where the model has a chat template it is applied to messages always, and to a prompt as one user message,
unless the prompt already carries the template's markers: clients of v0.3.0 formatted prompts themselves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inference_server.engine import Tokenizer
from inference_server.errors import BadRequest

_PROBE = "KAITO-PROBE"  # stands for the user's text in a rendered template; no template contains it


@dataclass(frozen=True)
class Prompt:
    """`text` is the user's own, which return_full_text puts before the answer.

    `templated`: the chat template was applied, so the answer is a turn of its own and goes on with no text.
    """

    token_ids: tuple[int, ...]
    text: str
    templated: bool = True


def prompt_from_text(prompt: str, prefix: str, tokenizer: Tokenizer, markers: frozenset[str]) -> Prompt:
    """Encode `prefix` + `prompt`, through the chat template where there is one and it is not applied yet."""
    text = prefix + prompt
    if tokenizer.has_chat_template and not carries_markers(text, markers):
        return Prompt(_encode_rendered([{"role": "user", "content": text}], tokenizer), prompt)
    begun = bool(tokenizer.bos_token) and text.startswith(tokenizer.bos_token)
    # The answer of a chat model is a turn of its own, also where the client wrote the template's markers.
    token_ids = tuple(tokenizer.encode(text, add_special_tokens=not begun))
    return Prompt(token_ids, prompt, templated=tokenizer.has_chat_template)


def prompt_to_continue(prompt: str | Sequence[int], tokenizer: Tokenizer) -> Prompt:
    """Encode a text that the answer goes on with, as it is; token ids are taken as they are."""
    if not isinstance(prompt, str):
        return Prompt(tuple(prompt), "", templated=False)
    begun = bool(tokenizer.bos_token) and prompt.startswith(tokenizer.bos_token)
    return Prompt(tuple(tokenizer.encode(prompt, add_special_tokens=not begun)), prompt, templated=False)


def prompt_from_messages(
    messages: Sequence[Mapping[str, object]],
    tokenizer: Tokenizer,
    tools: Sequence[Mapping[str, object]] = (),
) -> Prompt:
    """Encode messages, and the tools that the model may call, through the chat template.

    Raises:
        BadRequest: the model has no template, or its template refuses the messages.
    """
    if not tokenizer.has_chat_template:
        raise BadRequest("this model has no chat template, so it takes no messages; send a prompt instead")
    return Prompt(_encode_rendered(messages, tokenizer, tools), "")


def carries_markers(text: str, markers: frozenset[str]) -> bool:
    """Say whether any of the template's markers stands in `text`."""
    return any(marker in text for marker in markers)


def template_markers(tokenizer: Tokenizer) -> frozenset[str]:
    """Find the texts by which an already formatted prompt is recognized; empty without a template.

    In this order, the first that yields any:
    1. tokens outside the learned vocabulary that the template writes (`<|user|>`), without the begin, end,
       padding and unknown tokens: a question about HTML may well contain `</s>`;
    2. the tag right before the user's text, where it is plain text with punctuation (`[INST]`,
       `### Instruction:`); a bare word like `user` would be found in ordinary prose;
    3. begin and end tokens that the template writes: ChatML models often use `<|im_start|>` as both.
    """
    if not tokenizer.has_chat_template:
        return frozenset()
    rendered = tokenizer.render([{"role": "user", "content": _PROBE}])
    written = {token for token in tokenizer.added_tokens | tokenizer.boundary_tokens if token in rendered}
    strong = frozenset(written - tokenizer.boundary_tokens)
    if strong:
        return strong
    tag = _user_tag(rendered, written)
    return frozenset({tag}) if tag else frozenset(written)


def _user_tag(rendered: str, written: set[str]) -> str:
    """Return the last line before the user's text, without special tokens; '' if it is empty or a word."""
    before = rendered.partition(_PROBE)[0]
    for token in written:
        before = before.replace(token, "")
    lines = before.strip().splitlines()
    tag = lines[-1].strip() if lines else ""
    return tag if re.search(r"[^\w\s]", tag) else ""


def _encode_rendered(
    messages: Sequence[Mapping[str, object]],
    tokenizer: Tokenizer,
    tools: Sequence[Mapping[str, object]] = (),
) -> tuple[int, ...]:
    # The template writes the begin token itself where the model wants one: never add a second.
    return tuple(tokenizer.encode(tokenizer.render(messages, tools), add_special_tokens=False))
