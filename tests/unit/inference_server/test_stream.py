"""What a request reads, piece by piece."""

import asyncio

import pytest

from inference_server.engine import Token
from inference_server.errors import NotReady
from inference_server.scheduling.stream import Answer, Delta, Stream


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def stream(answers: int = 1, clock: Clock | None = None) -> Stream:
    return Stream(answers, 7, lambda: None, clock or Clock())


def delta(text: str, index: int = 0, end: bool = False) -> Delta:
    return Delta(index, text, Token(ord(text[0])), "stop" if end else None)


async def test_a_reader_gets_all_that_came_since_the_last_time() -> None:
    source = stream()
    source.deliver([delta("a")])
    source.deliver([delta("b")])
    assert [piece.text for piece in await source.read()] == ["a", "b"]
    source.deliver([delta("c", end=True)])
    assert [piece.text for piece in await source.read()] == ["c"]
    assert await source.read() == []


async def test_a_reader_waits_for_the_next_piece() -> None:
    source = stream()
    reading = asyncio.ensure_future(source.read())
    await asyncio.sleep(0)
    assert not reading.done()
    source.deliver([delta("a")])
    assert [piece.text for piece in await reading] == ["a"]


async def test_a_reader_that_gave_up_waiting_can_read_again() -> None:
    source = stream()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(source.read(), 0.001)
    source.deliver([delta("a")])
    assert [piece.text for piece in await source.read()] == ["a"]


async def test_an_error_comes_after_the_pieces_before_it_and_the_first_one_stays() -> None:
    source = stream()
    source.deliver([delta("a")])
    source.fail(NotReady("first"))
    source.fail(NotReady("second"))
    assert [piece.text for piece in await source.read()] == ["a"]
    for _ in range(2):
        with pytest.raises(NotReady, match="first"):
            await source.read()


async def test_an_error_wakes_the_reader() -> None:
    source = stream()
    reading = asyncio.ensure_future(source.read())
    await asyncio.sleep(0)
    source.fail(NotReady("over"))
    with pytest.raises(NotReady):
        await reading


async def test_collected_answers_are_told_apart_by_their_index() -> None:
    source = stream(answers=2)
    source.deliver([delta("a", 0), delta("x", 1, end=True)])
    source.deliver([Delta(0, "b", Token(98), "length")])
    result = await source.collect()
    assert result.answers == (
        Answer((Token(97), Token(98)), "ab", "length"),
        Answer((Token(120),), "x", "stop"),
    )
    assert (result.prompt_tokens, result.generated_tokens, source.generated_tokens) == (7, 3, 3)


def test_leaving_stops_the_generation_only_while_there_is_one() -> None:
    stopped: list[int] = []
    source = Stream(1, 7, lambda: stopped.append(1))
    source.deliver([delta("a", end=True)])
    source.close()
    assert stopped == []
    source = Stream(1, 7, lambda: stopped.append(1))
    source.close()
    assert stopped == [1]


def test_the_times_are_those_of_the_first_token_and_between_tokens() -> None:
    clock = Clock()
    source = stream(answers=2, clock=clock)
    assert (source.first_token_s, source.mean_token_s) == (None, None)
    clock.now = 3.0
    source.deliver([delta("a", 0), delta("a", 1)])
    assert (source.first_token_s, source.mean_token_s) == (3.0, None)
    for clock.now in (3.5, 4.0):
        source.deliver([delta("b", 0), delta("b", 1)])
    assert (source.first_token_s, source.mean_token_s) == (3.0, 0.5)
