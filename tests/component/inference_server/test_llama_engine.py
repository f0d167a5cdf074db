"""The llama.cpp engine, on a tiny model in a process of its own (llama_probe.py), and as a server."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.component.inference_server.process import ServerProcess
from tests.component.inference_server.tiny_gguf import write_tiny_gguf
from tools.bench_inference.supplies import get_gguf
from tools.images.errors import CommandError

pytestmark = [
    pytest.mark.component,
    pytest.mark.skipif(
        importlib.util.find_spec("llama_cpp") is None,
        reason="llama-cpp-python is not installed: `make setup` builds it where there is g++",
    ),
]
ROWS = 12


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    folder = tmp_path_factory.mktemp("llama")
    command = [sys.executable, "-m", "tests.component.inference_server.llama_probe", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)


@pytest.fixture(scope="module")
def probe(ran: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("width", ["1", "2", "5", "12"])
def test_a_batch_gives_the_tokens_of_each_row_alone(probe: dict[str, Any], width: str) -> None:
    found = probe["together"]["widths"][width]
    assert found["near"] == ROWS
    assert found["same"] >= ROWS - 2
    assert probe["together"]["different"] == ROWS


def test_rows_that_were_set_back_go_on_as_if_nothing_had_happened(probe: dict[str, Any]) -> None:
    assert probe["together"]["set back"] > 0
    assert probe["together"]["with little memory"]["near"] == ROWS
    assert probe["together"]["with little memory"]["same"] >= ROWS - 2


def test_rows_join_and_leave_between_steps(probe: dict[str, Any]) -> None:
    assert probe["together"]["joining"]["near"] == ROWS - 1
    assert probe["together"]["left"]


def test_nothing_is_kept_of_rows_that_are_over(probe: dict[str, Any]) -> None:
    assert probe["together"]["left over"] == 0


def test_rows_of_one_request_compute_and_keep_their_prompt_once(probe: dict[str, Any]) -> None:
    found = probe["groups"]
    assert found["used"] == found["prompt"]
    assert found["late"]  # it had its first token in its first step, though its prompt is longer than a piece
    assert found["same"]
    assert found["in pieces"]


def test_a_seed_draws_the_same_again(probe: dict[str, Any]) -> None:
    assert probe["groups"]["again"]
    assert probe["groups"]["seeds differ"]


@pytest.mark.parametrize(
    "rule", ["repetition", "presence", "bias", "ngrams", "single tokens", "minimum", "no end", "all"]
)
def test_penalties_and_bans_are_those_of_the_transformers_engine(probe: dict[str, Any], rule: str) -> None:
    assert probe["rules"][rule]


@pytest.mark.parametrize("rule", ["temperature", "top_k", "top_p", "min_p", "typical", "all"])
def test_tokens_are_drawn_as_the_transformers_engine_draws(probe: dict[str, Any], rule: str) -> None:
    found = probe["drawn"][rule]
    assert found["outside"] == 0
    assert found["distance"] < 0.1  # 4000 draws from up to 267 tokens; another order of the rules is farther


def test_a_row_whose_result_is_no_number_fails_alone(probe: dict[str, Any]) -> None:
    assert list(probe["bad"]["nan"]) == ["1"]
    assert probe["bad"]["nan"]["1"].startswith("InternalError: the model's result is not a number")
    assert probe["bad"]["others"]


def test_a_row_that_never_fits_is_told_so_and_the_next_one_is_answered(probe: dict[str, Any]) -> None:
    assert probe["bad"]["too long"].startswith("OutOfMemory: not enough memory for a prompt of 300 tokens")
    assert probe["bad"]["afterwards"]


def test_rules_that_leave_no_token_are_refused(probe: dict[str, Any]) -> None:
    assert "leave no token to choose" in probe["bad"]["nothing left"]


def test_answers_keep_to_a_schema(probe: dict[str, Any]) -> None:
    answers = [json.loads(text) for text in probe["grammars"]["texts"]]
    assert [list(answer) for answer in answers] == [["a"]] * 4
    assert all(isinstance(answer["a"], int) for answer in answers)


def test_what_the_engine_cannot_do_is_refused_with_a_sentence(probe: dict[str, Any]) -> None:
    found = probe["grammars"]
    assert found["bad schema"].startswith("BadRequest: the JSON schema cannot be kept to")
    assert "no beam search; send num_beams 1" in found["beams"]
    assert "takes no adapters" in found["adapter"]


def test_text_comes_out_as_it_went_in(probe: dict[str, Any]) -> None:
    found = probe["words"]
    assert found["same"]
    assert found["fewer than bytes"]
    assert found["bytes"] == "the"


def test_a_character_comes_when_all_of_its_bytes_have(probe: dict[str, Any]) -> None:
    assert probe["words"]["pieces"] == ["", "", "", "\N{SLIGHTLY SMILING FACE}"]
    assert probe["words"]["cut"] == "a\N{REPLACEMENT CHARACTER}"


def test_special_tokens_are_read_and_only_written_when_asked_for(probe: dict[str, Any]) -> None:
    found = probe["words"]
    assert found["marked"] == 4
    assert found["hidden"] == "a<tool_call>"
    assert found["shown"] == "<|im_start|>a<tool_call><|im_end|>"
    assert found["added"] == ["<tool_call>", "<|endoftext|>", "<|im_end|>", "<|im_start|>"]
    assert (found["bos"], found["boundary"]) == ("<|endoftext|>", ["<|endoftext|>", "<|im_end|>"])


def test_every_end_token_of_the_file_ends_an_answer_its_own_first(probe: dict[str, Any]) -> None:
    assert probe["words"]["eos"] == [2, 0]


def test_the_files_template_writes_messages_and_tools(probe: dict[str, Any]) -> None:
    turn = "<|im_start|>user\nthe<|im_end|><|im_start|>assistant\n"
    tool = '{"type": "function", "function": {"name": "f<", "parameters": {}}}'
    assert probe["words"]["rendered"] == turn
    assert probe["words"]["with tools"] == f"<|im_start|>system\nTools: [{tool}]<|im_end|>\n{turn}"


def test_messages_and_texts_that_cannot_be_read_are_refused(probe: dict[str, Any]) -> None:
    assert probe["words"]["no role"].endswith("refuses the messages: no role pirate")
    assert "half of a surrogate pair" in probe["words"]["surrogate"]


def test_log_probabilities_are_the_models_own(probe: dict[str, Any]) -> None:
    assert probe["probabilities"] == {"own": True, "top": True, "none asked": True}


def test_loading_shows_its_progress(probe: dict[str, Any]) -> None:
    assert probe["loads"]["rising"]
    assert probe["loads"]["phases"] == ["libraries", "weights"]


def test_the_context_is_the_models_or_less_and_memory_is_taken_for_as_many_rows(
    probe: dict[str, Any],
) -> None:
    found = probe["loads"]
    assert (found["context"], found["own context"]) == (300, 512)
    assert found["kv"] == 1024  # 3 rows of 300 tokens, in llama.cpp's steps of 256


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("cut", ["cannot be loaded by llama.cpp", "not within the file bounds"]),
        ("part", ["lacks 1 of the model's 2 parts", "m-00002-of-00002.gguf", "make it again"]),
        ("empty", ["holds no .gguf file", "--engine transformers"]),
    ],
)
def test_broken_files_are_named_with_the_next_action(
    probe: dict[str, Any], case: str, words: list[str]
) -> None:
    said = probe["loads"][case]
    assert said.startswith("WeightsFormat: ")
    assert all(word in said for word in words), said


def test_llama_cpp_writes_nothing_past_the_log(ran: subprocess.CompletedProcess[str]) -> None:
    assert ran.stderr == ""
    assert len(ran.stdout.splitlines()) == 1


@pytest.fixture(scope="module")
def smollm2() -> Path:
    """SmolLM2-135M-Instruct in 4 bits, which is downloaded once."""
    try:
        return get_gguf(lambda line: None)
    except CommandError as error:
        pytest.skip(f"no SmolLM2 as GGUF here: {error}")


def test_a_quantized_model_answers_in_a_batch_as_alone_but_for_rounding(smollm2: Path) -> None:
    command = [sys.executable, "-m", "tests.component.inference_server.llama_probe", "", str(smollm2)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout.splitlines()[-1])
    assert found["near"] == 4
    assert "three fruits" in found["texts"][1]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("served")
    write_tiny_gguf(folder / "model")
    started = ServerProcess(
        *("--model", str(folder / "model"), "--adapters", str(folder / "none"), "--log-level", "debug"),
        log=folder / "termination-log",
    )
    try:
        started.wait_ready()
        yield started
    finally:
        started.stop()


@pytest.fixture
def client(served: ServerProcess) -> Iterator[httpx.Client]:
    with served.client() as client:
        yield client


def test_a_gguf_folder_is_served_by_llama_cpp(client: httpx.Client) -> None:
    said = client.get("/adapters").json()
    assert said["engine"] == "llama.cpp"
    body = {
        "model": "model",
        "messages": [{"role": "user", "content": "the wind"}],
        "max_tokens": 8,
        "seed": 1,
    }
    answer = client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    again = client.post("/v1/chat/completions", json=body).json()
    assert again["choices"][0]["message"] == answer.json()["choices"][0]["message"]
    assert answer.json()["usage"]["completion_tokens"] == 8


def test_prompts_stay_out_of_the_log_of_the_library_too(served: ServerProcess, client: httpx.Client) -> None:
    body = {"prompt": "zanzibar and the tin hat", "generate_kwargs": {"max_new_tokens": 3}}
    assert client.post("/chat", json=body).status_code == 200
    assert any("llama.cpp: " in str(line) for line in served.lines)
    assert not any("zanzibar" in str(line) for line in served.lines)
