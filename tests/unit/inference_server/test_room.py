"""How much the slab may take, after the memory proved to be less."""

from inference_server.transformers_engine.room import LEAST_PIECE, Room


def test_a_cut_capacity_comes_back_step_by_step() -> None:
    room = Room(10_000, 512)
    room.cut(4_000)
    room.cut(8_000)  # more than there is now: not a cut
    assert room.tokens == 4_000
    room.regain(empty=False)
    assert 4_000 < room.tokens < 4_100
    for _ in range(1_000):
        room.regain(empty=False)
    assert room.tokens == 10_000


def test_an_empty_slab_has_all_of_it_at_once() -> None:
    room = Room(10_000, 512)
    room.cut(0)
    assert room.tokens == 1
    room.regain(empty=True)
    assert room.tokens == 10_000


def test_pieces_are_halved_down_to_what_makes_sense_and_grow_again_when_the_rows_are_gone() -> None:
    room = Room(10_000, 512)
    halved = [room.halve_piece() for _ in range(5)]
    assert halved == [True, True, True, False, False]
    assert room.piece_tokens == LEAST_PIECE
    for _ in range(5):
        room.emptied()
    assert room.piece_tokens == 512
