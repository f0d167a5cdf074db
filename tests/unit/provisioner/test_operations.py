"""Writes to Azure are admitted by a window and a gate."""

from kaito_operator.provisioner.operations import Operations

Key = tuple[str, str]


class Surroundings:
    def __init__(self) -> None:
        self.now = 0.0
        self.moving = 0
        self.woken: list[Key] = []
        self.operations = Operations(self.woken.append, lambda: self.moving, lambda: self.now)


def key(number: int) -> Key:
    return "Machine", f"m{number}"


def test_four_are_under_way_at_once_and_the_next_is_woken_when_one_ends() -> None:
    around = Surroundings()
    assert [around.operations.begin(key(n)) for n in range(6)] == [True] * 4 + [False] * 2
    around.operations.end()
    assert around.woken == [key(4)]
    assert around.operations.begin(key(4))
    assert not around.operations.begin(key(6))


def test_a_collision_halves_the_window_and_successes_open_it_again() -> None:
    operations = Surroundings().operations
    for expected in (2.0, 1.0, 1.0):
        operations.collided()
        assert operations.window == expected
    operations.succeeded()
    assert operations.window == 2.0
    for _ in range(6):
        operations.succeeded()
    assert operations.window == 4.0


def test_pools_in_motion_count_only_while_the_window_is_not_open() -> None:
    around = Surroundings()
    around.moving = 50
    assert around.operations.begin(key(0))
    around.operations.end()
    around.operations.collided()
    assert not around.operations.begin(key(1))
    around.moving = 1
    around.operations.changed()
    assert around.woken == [key(1)]
    assert around.operations.begin(key(1))


def test_a_retry_after_closes_the_gate_for_all() -> None:
    around = Surroundings()
    around.operations.close_for(30)
    around.operations.close_for(10)
    assert not around.operations.begin(key(0))
    around.now = 29
    assert around.operations.gate_s == 1
    around.now = 30
    assert around.operations.begin(key(0))
