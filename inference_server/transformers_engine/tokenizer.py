"""The library's tokenizer behind engine.Tokenizer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from jinja2 import TemplateError

from inference_server.detokenize import (
    ByteStream,
    CleanStream,
    DecoderKind,
    FallbackStream,
    WindowStream,
    decoder_kind,
    token_bytes,
)
from inference_server.engine import TextStream
from inference_server.errors import BadRequest

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# What templates raise at messages they were not written for: a content of None, a key that is not there.
_TEMPLATE_ERRORS = (TemplateError, TypeError, ValueError, KeyError, AttributeError, ArithmeticError)
_NO_PLACE_FOR_TOOLS = "this model's chat template has no place for tools; send the request without"


class HfTokenizer:
    """Wraps a tokenizer of transformers. Encoding and decoding change nothing in it: threads may share it."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        boundary = (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token, tokenizer.unk_token)
        self.chat_template = _default_template(tokenizer.chat_template)
        self.has_chat_template = bool(self.chat_template)
        self.bos_token: str = tokenizer.bos_token or ""
        self.boundary_tokens = frozenset(str(token) for token in boundary if token)
        self.added_tokens = frozenset(tokenizer.get_added_vocab())
        self._kind = _prepare_backend(tokenizer)
        self._special = frozenset(
            token_id for token_id, token in tokenizer.added_tokens_decoder.items() if token.special
        )
        self._cleans = _cleans(tokenizer)
        self._bytes: dict[int, bytes] = {}  # by token id; filled as tokens come, at most a vocabulary

    @property
    def library(self) -> PreTrainedTokenizerBase:
        """Return the library's own object, for libraries that need it."""
        return self._tokenizer

    @property
    def eos_token_id(self) -> int | None:
        """Return the end token's id."""
        return None if self._tokenizer.eos_token_id is None else int(self._tokenizer.eos_token_id)

    @property
    def pad_token_id(self) -> int | None:
        """Return the padding token's id."""
        return None if self._tokenizer.pad_token_id is None else int(self._tokenizer.pad_token_id)

    def render(
        self, messages: Sequence[Mapping[str, object]], tools: Sequence[Mapping[str, object]] = ()
    ) -> str:
        """Apply the chat template, open for the assistant's turn; see engine.Tokenizer."""
        if tools and "tools" not in _tools_template(self._tokenizer.chat_template):
            raise BadRequest(_NO_PLACE_FOR_TOOLS)
        try:
            rendered = self._tokenizer.apply_chat_template(
                [dict(message) for message in messages],
                tools=[dict(tool) for tool in tools] or None,
                tokenize=False,
                add_generation_prompt=True,
            )
        except _TEMPLATE_ERRORS as error:
            raise BadRequest(f"the model's chat template refuses the messages: {error}") from None
        return str(rendered)

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """Return the token ids of `text`; see engine.Tokenizer.

        Raises:
            BadRequest: half of a surrogate pair stands in it, which is no character.
        """
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise BadRequest(
                f"character {error.start} of the text is half of a surrogate pair; send valid Unicode"
            ) from None
        ids = self._tokenizer(text, add_special_tokens=add_special_tokens, verbose=False)["input_ids"]
        return [int(token_id) for token_id in ids]

    def decode(self, token_ids: Sequence[int], *, clean_up: bool, keep_special: bool = False) -> str:
        """Return the text of `token_ids` taken together."""
        text = self._tokenizer.decode(
            list(token_ids),
            skip_special_tokens=not keep_special,
            clean_up_tokenization_spaces=clean_up and self._cleans,
        )
        return str(text)

    def text_stream(
        self, context: Sequence[int], *, clean_up: bool, keep_special: bool = False
    ) -> TextStream:
        """Return a stream for what follows `context`; see engine.Tokenizer."""
        stream = self._stream(keep_special)
        for token_id in context:
            stream.push(token_id)
        if clean_up and self._cleans:
            return CleanStream(stream, self._tokenizer.clean_up_tokenization)
        return stream

    def token_bytes(self, token_id: int) -> bytes:
        """Return the bytes that one token stands for by itself, a special one's name; b'' for no token."""
        known = self._bytes.get(token_id)
        if known is None:
            known = token_bytes(self._token(token_id), self._kind.form)
            self._bytes[token_id] = known
        return known

    def _stream(self, keep_special: bool) -> TextStream:
        hidden = frozenset[int]() if keep_special else self._special
        if self._kind.form == "bytes":
            bytes_of = self.token_bytes
            return ByteStream(lambda token_id: b"" if token_id in hidden else bytes_of(token_id))
        if self._kind.form == "fallback":
            token_of = self._token
            return FallbackStream(
                lambda token_id: "" if token_id in hidden else token_of(token_id), self._kind.strip
            )
        return WindowStream(lambda ids: self.decode(ids, clean_up=False, keep_special=keep_special))

    def _token(self, token_id: int) -> str:
        """Return the token's text in the vocabulary; '' for an id beyond it: matrices may be larger."""
        try:
            token = self._tokenizer.convert_ids_to_tokens(token_id)
        except (IndexError, KeyError, OverflowError):
            return ""
        return token or ""


def _prepare_backend(tokenizer: PreTrainedTokenizerBase) -> DecoderKind:
    """Recognize the decoder, and switch off what the library would otherwise switch off in a first encode().

    A file may ask for truncation and padding. To change that while another thread encodes is an error
    ("Already borrowed").
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if not tokenizer.is_fast or backend is None:
        return DecoderKind("other")
    backend.no_truncation()
    backend.no_padding()
    state = backend.decoder.__getstate__() if backend.decoder is not None else None
    return decoder_kind(json.loads(state) if state else None)


def _cleans(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Say whether clean_up means anything: in BPE a space before punctuation was meant, the library says."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if not tokenizer.is_fast or backend is None or type(backend.model).__name__ != "BPE":
        return True
    forced = "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output"
    return bool(getattr(tokenizer, forced, False))


def _default_template(template: Mapping[str, str] | str | None) -> str:
    """Return the template that is used without tools; '' if there is none, or none is named the default."""
    return template.get("default", "") if isinstance(template, Mapping) else template or ""


def _tools_template(template: Mapping[str, str] | str | None) -> str:
    """Return the template that is used with tools."""
    if isinstance(template, Mapping):
        return template.get("tool_use") or template.get("default", "")
    return template or ""
