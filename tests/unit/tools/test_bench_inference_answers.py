"""Answers are read as they arrive, however the network cuts them, and their tokens are counted."""

import json
from typing import Any

import pytest

from tools.bench.errors import BenchError
from tools.bench_inference.answers import Answer, Reader
from tools.bench_inference.client import succeeded
from tools.bench_inference.load import Load, summary


def event(text: str | None = None, finish: str | None = None, **more: Any) -> str:
    delta = {"role": "assistant"} if text is None else {"content": text}
    return f"data: {json.dumps({'choices': [{'delta': delta, 'finish_reason': finish}], **more})}\n\n"


STREAM = "".join(
    [
        event(),
        event("one "),
        ": a comment\n\n",
        event("two — "),
        event("three", "length"),
        'data: {"choices": [], "usage": {"completion_tokens": 5}}\n\n',
        "data: [DONE]\n\n",
    ]
).encode()


def read(body: bytes, size: int, content_type: str = "text/event-stream", status: int = 200) -> Answer:
    """Feed a body in parts of `size` bytes, a second after each other."""
    answer = Answer()
    reader = Reader(answer)
    reader.begin(status, content_type)
    for number, at in enumerate(range(0, len(body), size)):
        reader.push(body[at : at + size], float(number))
    reader.end(99.0)
    return answer


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("ends", [b"\n", b"\r\n"])
def test_a_stream_reads_the_same_however_it_is_cut(size: int, ends: bytes) -> None:
    answer = read(STREAM.replace(b"\n", ends), size, "text/event-stream; charset=utf-8")
    assert (answer.text, answer.pieces, answer.finish) == ("one two — three", 3, "length")
    assert (answer.counted, answer.end_s, answer.error) == (5, 99.0, None)


def test_the_first_moment_is_that_of_text_and_not_of_the_role() -> None:
    role = event().encode()
    answer = Answer()
    reader = Reader(answer)
    reader.begin(200, "text/event-stream")
    reader.push(role, 1.0)
    reader.push(event("a").encode(), 3.0)
    assert answer.moments_s == [3.0]


def test_v030s_answer_is_one_piece_with_the_count_beside_it() -> None:
    body = json.dumps({"Result": "a story", "usage": {"completion_tokens": 7}}).encode()
    answer = read(body, 5, "application/json")
    assert (answer.text, answer.pieces, answer.tokens(64)) == ("a story", 1, 7)
    assert answer.moments_s == [99.0]


@pytest.mark.parametrize(
    ("answer", "tokens"),
    [
        (Answer(counted=5, pieces=3, finish="length"), 5),
        (Answer(pieces=60, finish="length"), 64),
        (Answer(pieces=60, finish="stop"), 60),
    ],
)
def test_tokens_are_the_servers_count_or_the_limit_or_the_pieces(answer: Answer, tokens: int) -> None:
    assert answer.tokens(64) == tokens


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b'data: {"error": {"message": "no"}}\n\n', "text/event-stream", 200),
        (b'{"detail": "no"}', "application/json", 503),
        (b"<html>no</html>", "text/html", 200),
    ],
)
def test_an_error_is_one_whatever_its_form(body: bytes, content_type: str, status: int) -> None:
    with pytest.raises(BenchError, match="no"):
        succeeded(read(body, 10_000, content_type, status))


def test_a_measurement_adds_up_its_answers() -> None:
    answers = [
        Answer(counted=64, moments_s=[0.5, 0.6]),
        Answer(counted=16, moments_s=[0.1]),
    ]
    found = summary(answers, 64, seconds=4.0)
    assert found == Load(requests=2, tokens=80, seconds=4.0, first_s=(0.5, 0.1), early=1)
    assert (found.tokens_per_s, found.first_p95_s) == (20.0, 0.5)


def test_an_empty_answer_is_no_measurement() -> None:
    with pytest.raises(BenchError, match="empty"):
        summary([Answer()], 64, seconds=1.0)
