"""Row: the scheduler's side of one sequence, from its place in the queue to its last piece of text."""

from __future__ import annotations

from inference_server.engine import FinishReason, NewRow, TextStream, Token, Tokenizer, Whole
from inference_server.scheduling.stops import StopCutter
from inference_server.scheduling.stream import Delta, Generation, Stream


class Row:
    """Turns the tokens of one sequence into pieces of its answer. Belongs to the engine's thread."""

    def __init__(self, index: int, new: NewRow, generation: Generation, tokenizer: Tokenizer) -> None:
        self.new = new
        self.index = index
        self._tokenizer = tokenizer
        self._generation = generation
        self._text = self._text_stream()
        self._stops = StopCutter(new.sampling.stop)
        self._count = 0

    def take(self, token: Token) -> Delta:
        """Return the piece that `token` adds; its `finish` tells whether the row is over."""
        self._count += 1
        sampling = self.new.sampling
        if token.is_end:
            return Delta(self.index, self._rest(), token, "stop")
        text = self._stops.push(self._text.push(token.id))
        if self._stops.stopped:
            return Delta(self.index, text, token, "stop")
        if self._count >= sampling.max_new_tokens:
            text += self._rest()
            return Delta(self.index, text, token, self._reason_at_the_limit())
        return Delta(self.index, text, token)

    def take_whole(self, whole: Whole) -> list[Delta]:
        """Return all pieces of the answers of a row of beams."""
        pieces = []
        for index, tokens in enumerate(whole.answers):
            self.index, self._count = index, 0
            self._text, self._stops = self._text_stream(), StopCutter(self.new.sampling.stop)
            for token in tokens:
                pieces.append(self.take(token))
                if pieces[-1].finish:
                    break
            else:  # the library ended it before an end token and before the limit
                pieces.append(Delta(index, self._rest(), None, "length"))
        return pieces

    def _rest(self) -> str:
        held = self._stops.push(self._text.flush())
        return held if self._stops.stopped else held + self._stops.flush()

    def _reason_at_the_limit(self) -> FinishReason:
        """The text that was held back may have completed a stop text."""
        return "stop" if self._stops.stopped else "length"

    def _text_stream(self) -> TextStream:
        generation = self._generation
        return self._tokenizer.text_stream(
            generation.context,
            clean_up=self.new.sampling.clean_up_tokenization_spaces,
            keep_special=generation.keep_special,
        )


class Job:
    """One request in the scheduler: its rows, its stream, and until when it may take."""

    def __init__(self, generation: Generation, stream: Stream, submitted: float, deadline: float) -> None:
        self.generation = generation
        self.stream = stream
        self.submitted = submitted
        self.deadline = deadline
        self.cancelled = False
        self.rows: list[Row] = []
        self.running: set[int] = set()
        self.waiting = list(enumerate(generation.rows))
