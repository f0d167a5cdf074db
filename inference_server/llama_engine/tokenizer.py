"""llama.cpp's vocabulary behind engine.Tokenizer."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any

import llama_cpp
from jinja2.exceptions import TemplateError

from inference_server.detokenize import ByteStream
from inference_server.engine import TextStream
from inference_server.errors import BadRequest, WeightsFormat
from inference_server.llama_engine.model import GgufModel
from inference_server.llama_engine.templates import ChatTemplate

_NONE = -1  # llama.cpp's token id for "there is no such token"
_FIRST_GUESS = 64  # bytes of a token's text; nearly all are shorter
_PREFIXED = (llama_cpp.LLAMA_VOCAB_TYPE_SPM, llama_cpp.LLAMA_VOCAB_TYPE_UGM)


class LlamaTokenizer:
    """Wraps a vocabulary. Nothing in it ever changes: threads may share it.

    Raises:
        WeightsFormat: the file has no vocabulary, or a chat template that is no Jinja.
    """

    def __init__(self, model: GgufModel) -> None:
        self._model = model
        self._vocab = model.vocab
        if llama_cpp.llama_vocab_type(self._vocab) == llama_cpp.LLAMA_VOCAB_TYPE_NONE:
            raise WeightsFormat(
                "the GGUF file has no vocabulary; convert the model again, with its tokenizer"
            )
        kinds = self._kinds()
        self._special = frozenset(kinds["special"])
        self._strips = self._prefixes_a_space()
        self._bytes: dict[int, bytes] = {}  # by token id; filled as tokens come, at most a vocabulary
        special = self._special_texts(kinds["unknown"])
        self.bos_token = special.get("bos_token", "")
        self.boundary_tokens = frozenset(special.values())
        self.added_tokens = frozenset(
            self._text(token_id) for token_id in (*kinds["special"], *kinds["added"])
        )
        self.chat_template = model.chat_template()
        self.has_chat_template = bool(self.chat_template)
        self._template = self._read_template(special)
        self.eos = tuple(kinds["end"])

    def render(
        self, messages: Sequence[Mapping[str, object]], tools: Sequence[Mapping[str, object]] = ()
    ) -> str:
        """Apply the chat template, open for the assistant's turn; see engine.Tokenizer."""
        if self._template is None:
            raise BadRequest(
                "this model has no chat template, so it takes no messages; send a prompt instead"
            )
        return self._template.render(messages, tools)

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """Return the token ids of `text`; see engine.Tokenizer.

        Raises:
            BadRequest: half of a surrogate pair stands in it, which is no character.
        """
        try:
            data = text.encode()
        except UnicodeEncodeError as error:
            raise BadRequest(
                f"character {error.start} of the text is half of a surrogate pair; send valid Unicode"
            ) from None
        count = len(data) + 2  # a token has at least a byte; one may begin and one may end the text
        ids = (llama_cpp.llama_token * count)()
        found = llama_cpp.llama_tokenize(self._vocab, data, len(data), ids, count, add_special_tokens, True)
        if found < 0:  # a space before the text may be more than that
            count = -found
            ids = (llama_cpp.llama_token * count)()
            found = llama_cpp.llama_tokenize(
                self._vocab, data, len(data), ids, count, add_special_tokens, True
            )
        return list(ids[:found])

    def text_stream(
        self, context: Sequence[int], *, clean_up: bool, keep_special: bool = False
    ) -> TextStream:
        """Return a stream for what follows `context`; see engine.Tokenizer.

        `clean_up` changes nothing: a GGUF file does not say that its tokens have spaces before punctuation
        that nobody meant, and those of today's models do not.
        """
        hidden = frozenset[int]() if keep_special else self._special
        bytes_of = self.token_bytes
        stream: TextStream = ByteStream(lambda token_id: b"" if token_id in hidden else bytes_of(token_id))
        if self._strips:
            stream = _WithoutFirstSpace(stream)
        for token_id in context:
            stream.push(token_id)
        return stream

    def token_bytes(self, token_id: int) -> bytes:
        """Return the bytes that one token stands for by itself, a special one's name."""
        known = self._bytes.get(token_id)
        if known is None:
            known = self._piece(token_id)
            self._bytes[token_id] = known
        return known

    def _piece(self, token_id: int, room: int = _FIRST_GUESS) -> bytes:
        buffer = ctypes.create_string_buffer(room)
        length = int(llama_cpp.llama_token_to_piece(self._vocab, token_id, buffer, room, 0, True))
        return buffer.raw[:length] if length >= 0 else self._piece(token_id, -length)

    def _text(self, token_id: int) -> str:
        return self.token_bytes(token_id).decode("utf-8", "replace")

    def _kinds(self) -> dict[str, list[int]]:
        """Return the ids of special tokens, of others that were added, of unknown and of end tokens."""
        kinds: dict[str, list[int]] = {"special": [], "added": [], "unknown": [], "end": []}
        vocab = self._vocab
        attribute_of, is_end = llama_cpp.llama_vocab_get_attr, llama_cpp.llama_vocab_is_eog
        for token_id in range(self._model.vocabulary_size):
            attributes = attribute_of(vocab, token_id)
            if attributes & (llama_cpp.LLAMA_TOKEN_ATTR_CONTROL | llama_cpp.LLAMA_TOKEN_ATTR_UNKNOWN):
                kinds["special"].append(token_id)
            elif attributes & llama_cpp.LLAMA_TOKEN_ATTR_USER_DEFINED:
                kinds["added"].append(token_id)
            if attributes & llama_cpp.LLAMA_TOKEN_ATTR_UNKNOWN:
                kinds["unknown"].append(token_id)
            if is_end(vocab, token_id):
                kinds["end"].append(token_id)
        eos = int(llama_cpp.llama_vocab_eos(vocab))
        kinds["end"].sort(key=lambda token_id: token_id != eos)  # the model's own first
        return kinds

    def _special_texts(self, unknown: Sequence[int]) -> dict[str, str]:
        """Return the texts of the boundary tokens, by the names that chat templates call them."""
        found: dict[str, Any] = {
            "bos_token": llama_cpp.llama_vocab_bos(self._vocab),
            "eos_token": llama_cpp.llama_vocab_eos(self._vocab),
            "pad_token": llama_cpp.llama_vocab_pad(self._vocab),
            "unk_token": unknown[0] if unknown else _NONE,
        }
        return {name: self._text(token_id) for name, token_id in found.items() if token_id != _NONE}

    def _read_template(self, special: Mapping[str, str]) -> ChatTemplate | None:
        if not self.has_chat_template:
            return None
        for_tools = self._model.chat_template("tool_use") or self.chat_template
        try:
            return ChatTemplate(self.chat_template, for_tools, special)
        except TemplateError as error:
            raise WeightsFormat(
                f"the GGUF file's chat template is no Jinja ({error}); convert the model again"
            ) from None

    def _prefixes_a_space(self) -> bool:
        """Say whether every text gets a space before it, which then is not part of what was said."""
        if llama_cpp.llama_vocab_type(self._vocab) not in _PREFIXED:
            return False
        return self._model.value("tokenizer.ggml.add_space_prefix") != "false"


class _WithoutFirstSpace:
    """A stream without the space that the tokenizer puts before every text."""

    def __init__(self, inner: TextStream) -> None:
        self._inner = inner
        self._begun = False

    def push(self, token_id: int) -> str:
        """Return the text that `token_id` completes."""
        return self._stripped(self._inner.push(token_id))

    def flush(self) -> str:
        """Return what was held back."""
        return self._stripped(self._inner.flush())

    def _stripped(self, text: str) -> str:
        if self._begun or not text:
            return text
        self._begun = True
        return text.removeprefix(" ")
