"""What is asked for, and what is noticed about the machine meanwhile."""

import re

import pytest

from tools.bench.usage import CLOCK_TICK_HZ
from tools.bench_inference.options import PARTS, Options
from tools.bench_inference.paths import PAGE
from tools.bench_inference.peers import Field, endless_body, llama_field, ours_body, torch_field
from tools.bench_inference.prompts import prompts
from tools.bench_inference.quiet import Clock, busy_seconds
from tools.bench_inference.supplies import Supplies

SUPPLIES = Supplies(*(PAGE.parent / name for name in ("weights", "gguf/model.gguf", "peers")))
FIELDS = [torch_field(SUPPLIES), llama_field(SUPPLIES, cores=2)]


def test_the_same_seed_gives_the_same_prompts_and_another_one_others() -> None:
    assert prompts(8, 1) == prompts(8, 1)
    assert not set(prompts(8, 1)) & set(prompts(8, 2))


def test_no_two_prompts_begin_alike() -> None:
    beginnings = [tuple(text.split()[:3]) for text in prompts(300, 1)]
    assert len(set(beginnings)) == 300


def test_prompts_are_of_mixed_length_and_bounded() -> None:
    words = sorted(len(re.findall(r"\w+", text)) for text in prompts(300, 1))
    assert 12 <= words[0] < 20
    assert 20 < words[150] < 60
    assert 150 < words[-1] <= 210


def test_another_variant_has_other_words_and_the_same_lengths() -> None:
    first, second = prompts(20, 1), prompts(20, 1, 1)
    assert [len(text.split()) for text in first] == [len(text.split()) for text in second]
    assert not set(first) & set(second)


@pytest.mark.parametrize("servers", FIELDS)
def test_every_server_is_asked_for_the_same(servers: Field) -> None:
    for peer in servers.peers:
        body = peer.body("Tell it.", 64)
        assert body["messages"] == [{"role": "user", "content": "Tell it."}]
        assert 64 in {body.get("max_tokens"), body.get("generate_kwargs", {}).get("max_new_tokens")}
        assert body.get("stream", False) == peer.streams


@pytest.mark.parametrize("servers", FIELDS)
def test_every_number_of_clients_has_requests_enough_to_keep_all_busy(servers: Field) -> None:
    for clients in servers.clients:
        assert Options().requests[clients] >= 2 * clients


@pytest.mark.parametrize("servers", FIELDS)
def test_every_server_listens_on_loopback_on_a_port_of_its_own(servers: Field) -> None:
    for peer in servers.peers:
        assert "{port}" in peer.command
        if "programs" not in " ".join(peer.command):
            assert "127.0.0.1" in peer.command


def test_our_server_counts_its_tokens_and_an_echo_goes_on_to_the_limit() -> None:
    assert ours_body("Tell it.", 64)["stream_options"] == {"include_usage": True}
    assert endless_body("Tell it.", 64) == {**ours_body("Tell it.", 64), "ignore_eos": True}


def test_the_page_has_a_place_for_every_part() -> None:
    text = PAGE.read_text()
    for part in PARTS:
        assert text.count(f"<!-- figures of {part} -->\n") == text.count(f"<!-- end of {part} -->\n") == 1


def test_busy_time_leaves_out_what_waits() -> None:
    ticks = [5, 1, 4, 900, 800, 2, 3, 7, 0, 0]
    stat = f"cpu  {' '.join(str(tick * CLOCK_TICK_HZ) for tick in ticks)}\ncpu0 1 2 3\n"
    assert busy_seconds(stat) == 15.0


def test_the_machine_is_shared_out_to_server_client_and_others() -> None:
    share = Clock(0.0, 100.0, 5.0, 1.0).until(Clock(10.0, 115.0, 12.0, 2.0))
    assert (share.server, share.client, share.others, share.seconds) == (0.7, 0.1, 0.7, 10.0)


def test_others_never_use_less_than_nothing() -> None:
    assert Clock(0.0, 100.0, 5.0, 1.0).until(Clock(10.0, 106.0, 12.0, 2.0)).others == 0.0
