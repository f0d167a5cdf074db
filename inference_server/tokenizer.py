"""The library's tokenizer behind engine.Tokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from jinja2 import TemplateError

from inference_server.errors import BadRequest

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class HfTokenizer:
    """Wraps a tokenizer of transformers. Encoding and decoding change nothing in it: threads may share it."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        boundary = (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token, tokenizer.unk_token)
        self.has_chat_template = bool(tokenizer.chat_template)
        self.bos_token: str = tokenizer.bos_token or ""
        self.boundary_tokens = frozenset(str(token) for token in boundary if token)
        self.added_tokens = frozenset(tokenizer.get_added_vocab())

    @property
    def eos_token_id(self) -> int | None:
        """Return the end token's id."""
        return None if self._tokenizer.eos_token_id is None else int(self._tokenizer.eos_token_id)

    @property
    def pad_token_id(self) -> int | None:
        """Return the padding token's id."""
        return None if self._tokenizer.pad_token_id is None else int(self._tokenizer.pad_token_id)

    def render(self, messages: Sequence[Mapping[str, str]]) -> str:
        """Apply the chat template, open for the assistant's turn; see engine.Tokenizer."""
        try:
            rendered = self._tokenizer.apply_chat_template(
                [dict(message) for message in messages], tokenize=False, add_generation_prompt=True
            )
        except TemplateError as error:
            raise BadRequest(f"the model's chat template refuses the messages: {error}") from None
        return str(rendered)

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """Return the token ids of `text`; see engine.Tokenizer."""
        ids = self._tokenizer(text, add_special_tokens=add_special_tokens, verbose=False)["input_ids"]
        return [int(token_id) for token_id in ids]

    def decode(self, token_ids: Sequence[int], *, clean_up: bool) -> str:
        """Return the text of `token_ids` without special tokens."""
        text = self._tokenizer.decode(
            list(token_ids), skip_special_tokens=True, clean_up_tokenization_spaces=clean_up
        )
        return str(text)
