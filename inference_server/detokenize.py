"""Token ids to text one after another, so that what comes out together is the decoding of all of them.

The library's own DecodeStream is not enough: bytes that are no UTF-8 make it hold back everything that
follows, it has no end at which to give that out, and it raises where a decoder changes earlier text.
Where a token stands for bytes of its own (byte-level BPE, SentencePiece with byte fallback) nothing is ever
decoded twice; for the rest a window of the last tokens is.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from inference_server.engine import TextStream

Form = Literal["bytes", "fallback", "other"]
Decode = Callable[[Sequence[int]], str]

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_SPACE = "\N{LOWER ONE EIGHTH BLOCK}"  # SentencePiece writes spaces so
_LONGEST_CHARACTER = 4  # bytes of UTF-8, so at most as many tokens
_NEIGHBOURS = 8  # tokens; the first of them has text, if any had yet


@dataclass(frozen=True)
class DecoderKind:
    """How a tokenizer's decoder makes text of tokens.

    `bytes`: every character of a token stands for a byte. `fallback`: a token is text with spaces written
    as U+2581, or `<0xNN>`, one byte. `other`: only the library's decode() knows. `strip` is how many
    spaces it takes off the beginning of a whole text.
    """

    form: Form
    strip: int = 0


def decoder_kind(decoder: Mapping[str, Any] | None) -> DecoderKind:
    """Recognize a decoder from its JSON in tokenizer.json; None: the tokenizer has none."""
    steps = _steps(decoder)
    kinds = [step["type"] for step in steps]
    if kinds and set(kinds) <= {"ByteLevel", "Fuse"} and kinds.count("ByteLevel") == 1:
        return DecoderKind("bytes")
    strip = 0
    if kinds[3:] == ["Strip"]:
        last = steps[3]
        if last["content"] != " " or last["stop"]:
            return DecoderKind("other")
        strip = int(last["start"])
    if kinds[:3] == ["Replace", "ByteFallback", "Fuse"] and len(kinds) <= 4:
        replace = steps[0]
        if replace["pattern"] == {"String": _SPACE} and replace["content"] == " ":
            return DecoderKind("fallback", strip)
    return DecoderKind("other")


def _steps(decoder: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    if decoder is None:
        return []
    if decoder["type"] != "Sequence":
        return [decoder]
    return [step for inner in decoder["decoders"] for step in _steps(inner)]


def token_bytes(token: str, form: Form) -> bytes:
    """Return the bytes that one token stands for, from its text in the vocabulary."""
    if form == "bytes":
        try:
            return bytes(_BYTE_OF[character] for character in token)
        except KeyError:  # an added token: it is written as it is
            return token.encode()
    if form == "fallback" and (byte := fallback_byte(token)) is not None:
        return bytes([byte])
    return token.replace(_SPACE, " ").encode()


def fallback_byte(token: str) -> int | None:
    """Return the byte that a token `<0xNN>` stands for; None for every other token."""
    if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
        try:
            return int(token[3:5], 16)
        except ValueError:
            return None
    return None


def _byte_characters() -> dict[str, int]:
    """Return the character by which byte-level BPE writes each byte (GPT-2's table)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    characters = {chr(byte): byte for byte in printable}
    return characters | {chr(0x100 + index): byte for index, byte in enumerate(others)}


_BYTE_OF = _byte_characters()


class ByteStream:
    """For byte-level tokens. `bytes_of` returns b'' for a token that is not to be seen."""

    def __init__(self, bytes_of: Callable[[int], bytes]) -> None:
        self._bytes_of = bytes_of
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token_id: int) -> str:
        """Return the characters that are complete now."""
        return self._decoder.decode(self._bytes_of(token_id))

    def flush(self) -> str:
        """Return U+FFFD if a character lacks bytes."""
        return self._decoder.decode(b"", final=True)


class FallbackStream:
    """For SentencePiece tokens, some of which are single bytes.

    A character is given out as soon as it is complete. The library decides on a whole run of byte tokens,
    and where one of its bytes is wrong it replaces the complete characters before it as well.
    """

    def __init__(self, token_of: Callable[[int], str], strip: int) -> None:
        self._token_of = token_of
        self._strip = strip
        self._held = bytearray()

    def push(self, token_id: int) -> str:
        """Return the text of a token; of a byte, the characters that it completes or spoils."""
        token = self._token_of(token_id)
        byte = fallback_byte(token)
        if byte is None:
            # A token that is not to be seen parts no bytes.
            return self._stripped(self.flush() + token.replace(_SPACE, " ")) if token else ""
        self._held.append(byte)
        try:
            text = self._held.decode()
        except UnicodeDecodeError as error:
            if error.end == len(self._held) and error.reason == "unexpected end of data":
                return ""
            text = _REPLACEMENT * len(self._held)
        self._held.clear()
        return self._stripped(text)

    def flush(self) -> str:
        """Return a U+FFFD for every byte of an incomplete character."""
        text = _REPLACEMENT * len(self._held)
        self._held.clear()
        return text

    def _stripped(self, text: str) -> str:
        while self._strip and text.startswith(" "):
            text, self._strip = text[1:], self._strip - 1
        if text:
            self._strip = 0
        return text


class WindowStream:
    """For every other tokenizer: decodes the tokens since the last piece behind those of the piece before."""

    def __init__(self, decode: Decode) -> None:
        self._decode = decode
        self._before: list[int] = []  # already given out; they decide on spaces between
        self._new: list[int] = []

    def push(self, token_id: int) -> str:
        """Return the new text, unless it ends inside of a character."""
        self._new.append(token_id)
        text = self._text()
        if text.endswith(_REPLACEMENT) and len(self._new) < _LONGEST_CHARACTER:
            return ""
        return self._give(text)

    def flush(self) -> str:
        """Return what was held back."""
        return self._give(self._text()) if self._new else ""

    def _text(self) -> str:
        return self._decode([*self._before, *self._new])[len(self._decode(self._before)) :]

    def _give(self, text: str) -> str:
        # Tokens without text (special ones, a space that was stripped) do not part the next from the last.
        self._before = self._new if text else [*self._before, *self._new][:_NEIGHBOURS]
        self._new = []
        return text


class CleanStream:
    """Removes spaces before punctuation, as `clean` does on a whole text, a word at a time."""

    def __init__(self, inner: TextStream, clean: Callable[[str], str]) -> None:
        self._inner = inner
        self._clean = clean
        self._held = ""

    def push(self, token_id: int) -> str:
        """Return the words that no later text can change."""
        self._held += self._inner.push(token_id)
        end = self._safe_end()
        ready, self._held = self._held[:end], self._held[end:]
        return self._clean(ready)

    def flush(self) -> str:
        """Return the last word."""
        held, self._held = self._held + self._inner.flush(), ""
        return self._clean(held)

    def _safe_end(self) -> int:
        """Return the last place before a space that no pattern reaches across.

        Every pattern begins with a space, and only `" ' "` has one inside: behind a quote.
        """
        for end in range(len(self._held) - 1, 0, -1):
            if self._held[end] == " " and self._held[end - 1] not in " '":
                return end
        return 0
