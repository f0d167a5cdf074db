from ipaddress import IPv4Address

from tools.localcluster.ports import Listener, parse
from tools.localcluster.preflight import _port_problems

HEADING = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def row(local: str, state: str, inode: int) -> str:
    return f"   0: {local} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 0 0 {inode} 1\n"


def test_a_listening_socket_is_read_with_its_little_endian_address() -> None:
    assert list(parse(HEADING + row("0100007F:1388", "0A", 77))) == [
        Listener(IPv4Address("127.0.0.1"), 5000, 77)
    ]


def test_an_established_connection_is_no_listener() -> None:
    assert list(parse(HEADING + row("0100007F:1388", "01", 77))) == []


def test_an_ipv6_socket_for_all_addresses_blocks_ipv4_too() -> None:
    (found,) = parse(HEADING + row(f"{'0' * 32}:192B", "0A", 1))
    assert found.blocks(IPv4Address("10.244.0.1"), 6443)


def test_an_ipv6_socket_of_one_address_blocks_nothing() -> None:
    assert list(parse(HEADING + row("00000000000000000000000001000000:1388", "0A", 1))) == []


def test_an_ipv4_address_inside_ipv6_counts_as_ipv4() -> None:
    (found,) = parse(HEADING + row("0000000000000000FFFF00000100007F:1388", "0A", 1))
    assert found.address == IPv4Address("127.0.0.1")


def test_the_same_port_of_another_address_is_free() -> None:
    listener = Listener(IPv4Address("192.0.2.2"), 5000, 1)
    assert not listener.blocks(IPv4Address("127.0.0.1"), 5000)
    assert not listener.blocks(IPv4Address("192.0.2.2"), 5001)


def test_a_taken_port_is_named_in_the_problem() -> None:
    (problem,) = _port_problems([Listener(IPv4Address("127.0.0.1"), 5000, 0)])
    assert problem.startswith("Port 5000 is taken by an unknown process")
