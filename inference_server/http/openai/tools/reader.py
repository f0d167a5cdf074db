"""CallReader: an answer's text, piece by piece, into text to show and calls to make.

Text is held back only while a call may have begun. What looked like a call and is none comes out as text.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from inference_server.http.openai.tools.calls import Call, parse_calls
from inference_server.http.openai.tools.conventions import Convention

Piece = str | Call
_FENCE = re.compile(r"\s*```(?:json)?\s*(.*?)\s*(?:```)?\s*", re.DOTALL)
# How a bare call begins: with one of these keys. Another first key tells that the object is an answer.
_FIRST_KEY = re.compile(r'\s*(?:```(?:json)?\s*)?(?:\[\s*)?\{\s*"([^"]*)"')
_MAY_BEGIN = re.compile(r"\s*(?:`{0,2}|```(?:j|js|jso|json)?\s*|(?:```(?:json)?\s*)?[\[{].*)", re.DOTALL)
_CALL_KEYS = frozenset({"name", "type", "function", "id", "parameters", "arguments"})


class CallReader:
    """Reads one answer. `names` are the functions that may be called."""

    def __init__(self, convention: Convention, names: Collection[str]) -> None:
        self._convention = convention
        self._names = frozenset(names)
        self._held = ""
        self._inside = False  # between `begin` and `end`
        self._at_start = convention.bare
        self._shown = False  # text since the last call; white space alone around calls is none
        hidden = sorted(convention.special.difference(convention.markers), key=len, reverse=True)
        self._hidden = re.compile("|".join(map(re.escape, hidden))) if hidden else None
        self.calls = 0

    def feed(self, text: str) -> list[Piece]:
        """Take the next piece of text; return what is certain by now, in order."""
        if self._hidden is not None and text:
            text = self._hidden.sub("", text)
        self._held += text
        return self._advance()

    def finish(self) -> list[Piece]:
        """Return what was held back, when no more text comes."""
        out = self._advance()
        held, self._held = self._held, ""
        if self._inside:
            self._inside = False
            out += self._read(held, self._convention.begin + held)
        elif self._at_start:
            self._at_start = False
            out += self._read_bare(held)
        elif held and (self._shown or held.strip() or not self.calls):
            out.append(held)
        return out

    def _advance(self) -> list[Piece]:
        out: list[Piece] = []
        while True:
            before = (len(self._held), self._inside, self._at_start)
            if self._at_start:
                self._leave_start()
            if not self._at_start:
                out += self._close() if self._inside else self._open()
            if (len(self._held), self._inside, self._at_start) == before or self._at_start:
                return out

    def _leave_start(self) -> None:
        """Decide whether the beginning of the answer may still be a call without a marker."""
        begin = self._convention.begin
        held = self._held.lstrip()
        if begin and begin.startswith(held[: len(begin)]):
            self._at_start = len(held) < len(begin)  # a marker, or perhaps the beginning of one
            return
        first = _FIRST_KEY.match(self._held)
        known = first is None or first[1] in _CALL_KEYS
        self._at_start = known and _MAY_BEGIN.fullmatch(self._held) is not None

    def _open(self) -> list[Piece]:
        """Pass text on up to the next marker, or up to what may become one."""
        begin = self._convention.begin
        at = self._held.find(begin) if begin else -1
        end = at if at >= 0 else len(self._held) - _overlap(self._held, begin)
        text, rest = self._held[:end], self._held[end:]
        blank = not self._shown and not text.strip()
        if at >= 0:
            self._held, self._inside, self._shown = rest[len(begin) :], True, False
        elif not blank:
            self._held, self._shown = rest, True
        return [text] if text and not blank else []

    def _close(self) -> list[Piece]:
        """Read a call once its end has come."""
        begin, end = self._convention.begin, self._convention.end
        at = self._held.find(end or begin)
        if at < 0:
            return []
        body, self._held = self._held[:at], self._held[at + len(end or begin) :]
        self._inside = not end  # where nothing closes a call, the next one's marker does
        return self._read(body, begin + body + end)

    def _read(self, body: str, raw: str) -> list[Piece]:
        calls = parse_calls(body)
        if calls is None:
            return [raw] if body.strip() else []
        self.calls += len(calls)
        return list(calls)

    def _read_bare(self, text: str) -> list[Piece]:
        """Without a marker only the name of a function tells a call from JSON that was asked for."""
        fenced = _FENCE.fullmatch(text) if "```" in text else None
        calls = parse_calls(fenced[1] if fenced else text)
        if calls is None or any(call.name not in self._names for call in calls):
            return [text] if text else []
        self.calls += len(calls)
        return list(calls)


def _overlap(text: str, marker: str) -> int:
    """Return the length of the longest end of `text` with which `marker` begins."""
    for length in range(min(len(marker) - 1, len(text)), 0, -1):
        if text.endswith(marker[:length]):
            return length
    return 0
