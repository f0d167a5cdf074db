"""The HTTP contract, over real sockets, with a real transformers model (tiny, random weights)."""

import json
import signal
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.inference_server import ServerProcess
from tests.support.kube import eventually

GREEDY = {"do_sample": False}


def test_the_fixed_routes_answer_as_v0_3_0(server: ServerProcess) -> None:
    assert server.http.get("/").json() == {"message": "Server is running"}
    assert server.http.get("/healthz").json() == {"status": "Healthy"}
    assert server.http.get("/livez").status_code == 200


def test_a_greedy_answer_equals_the_librarys_own(server: ServerProcess, expected: dict[str, Any]) -> None:
    kwargs = {**GREEDY, "max_new_tokens": 40}
    assert server.result(prompt=expected["endless"], generate_kwargs=kwargs).strip() == expected["text"]


def test_messages_and_prompt_go_through_the_same_template(
    server: ServerProcess, expected: dict[str, Any]
) -> None:
    messages = [{"role": "user", "content": expected["endless"]}]
    kwargs = {**GREEDY, "max_new_tokens": 40}
    assert server.result(messages=messages, generate_kwargs=kwargs).strip() == expected["text"]


def test_a_prompt_that_carries_the_templates_markers_is_left_as_it_is(
    server: ServerProcess, expected: dict[str, Any]
) -> None:
    formatted = f"<|user|> {expected['endless']} <|end|> <|assistant|>"
    kwargs = {**GREEDY, "max_new_tokens": 40}
    assert server.result(prompt=formatted, generate_kwargs=kwargs).strip() == expected["text"]


@pytest.mark.parametrize("owner", ["config", "tokenizer"])
def test_generation_stops_at_the_end_token_of(
    server: ServerProcess, expected: dict[str, Any], owner: str
) -> None:
    end = expected[owner]
    assert server.result(prompt=end["word"], generate_kwargs=GREEDY).strip() == end["text"]


def test_without_a_limit_two_hundred_new_tokens_are_generated_however_long_the_prompt(
    server: ServerProcess, expected: dict[str, Any]
) -> None:
    long_prompt = " ".join([expected["endless"]] * 300)
    kwargs = {**GREEDY, "eos_token_id": 89}
    for prompt in (expected["endless"], long_prompt):
        words = server.result(prompt=prompt, generate_kwargs=kwargs).split()
        assert len(words) <= 200
    assert len(server.result(prompt=expected["endless"], generate_kwargs=GREEDY).split()) == 200


def test_a_prompt_that_does_not_fit_is_a_400_with_limit_and_size(
    server: ServerProcess, expected: dict[str, Any]
) -> None:
    answer = server.chat(prompt=" ".join(["w1"] * 3000))
    assert answer.status_code == 400
    assert str(expected["context"]) in answer.json()["detail"]
    assert "300" in answer.json()["detail"]


FIXED_400 = [
    ({}, "Text generation parameter prompt required"),
    ({"prompt": ""}, "Text generation parameter prompt required"),
    ({"messages": []}, "Conversational parameter messages required"),
]


@pytest.mark.parametrize(("body", "detail"), FIXED_400)
def test_a_missing_text_is_a_400_in_v0_3_0s_words(
    server: ServerProcess, body: dict[str, Any], detail: str
) -> None:
    answer = server.chat(**body)
    assert (answer.status_code, answer.json()["detail"]) == (400, detail)


WRONG = [
    (422, {"prompt": 7}, "prompt"),
    (422, {"prompt": "w1", "generate_kwargs": {"max_new_tokens": "many"}}, "max_new_tokens"),
    (400, {"prompt": "w1", "generate_kwargs": {"temperature": -1}}, "temperature"),
    (400, {"prompt": "w1", "generate_kwargs": {"top_p": 2}}, "top_p"),
    (400, {"prompt": "w1", "generate_kwargs": {"num_return_sequences": 9}}, "num_return_sequences"),
    (400, {"prompt": "w1", "generate_kwargs": {"eos_token_id": 10**6}}, "token id"),
    (400, {"prompt": "w1", "generate_kwargs": {"use_cache": False}}, "use_cache"),
    (400, {"messages": [{"role": "robot", "content": "w1"}]}, "role"),
]


@pytest.mark.parametrize(("code", "body", "named"), WRONG)
def test_what_is_wrong_is_named(server: ServerProcess, code: int, body: dict[str, Any], named: str) -> None:
    answer = server.chat(**body)
    assert answer.status_code == code
    assert named in answer.text


def test_a_request_cannot_bring_python_code(server: ServerProcess, tmp_path: Path) -> None:
    code = tmp_path / "custom_generate"
    code.mkdir()
    (code / "generate.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\ndef generate(*a, **k): ...\n")
    kwargs = {"custom_generate": str(tmp_path), "trust_remote_code": True}
    answer = server.chat(prompt="w1", generate_kwargs=kwargs)
    assert answer.status_code == 400
    assert "custom_generate" in answer.json()["detail"]
    assert not (tmp_path / "ran").exists()


def test_the_same_seed_draws_the_same_answer(server: ServerProcess) -> None:
    kwargs = {"seed": 5, "max_new_tokens": 20, "temperature": 2.0}
    first, second = (server.result(prompt="w3", generate_kwargs=kwargs) for _ in range(2))
    other = server.result(prompt="w3", generate_kwargs={**kwargs, "seed": 6})
    assert first == second
    assert first != other


def test_a_stop_text_ends_the_answer_and_is_cut_off(server: ServerProcess, expected: dict[str, Any]) -> None:
    words = expected["text"].split()
    kwargs = {**GREEDY, "max_new_tokens": 40, "stop": [words[6]]}
    answer = server.result(prompt=expected["endless"], generate_kwargs=kwargs)
    assert answer.split() == words[: words.index(words[6])]


def test_return_full_text_puts_the_prompt_before_the_answer(
    server: ServerProcess, expected: dict[str, Any]
) -> None:
    kwargs = {**GREEDY, "max_new_tokens": 5}
    full = server.result(prompt=expected["endless"], return_full_text=True, generate_kwargs=kwargs)
    assert full.startswith(expected["endless"])


def test_metrics_are_prometheus_text_and_v0_3_0s_json_on_request(server: ServerProcess) -> None:
    server.result(prompt="w1", generate_kwargs={"max_new_tokens": 1})
    text = server.http.get("/metrics")
    assert text.headers["content-type"].startswith("text/plain")
    assert "# TYPE" in text.text
    body = server.http.get("/metrics", headers={"Accept": "application/json"}).json()
    assert body["gpu_info"] is None
    assert set(body["cpu_info"]) == {"load_percentage", "physical_cores", "total_cores", "memory"}


def test_a_too_large_body_is_a_413(server: ServerProcess) -> None:
    assert server.chat(prompt="w" * 2_000_000).status_code == 413


def test_no_prompt_and_no_answer_reaches_the_log(server: ServerProcess) -> None:
    server.result(prompt="w7 w77 w7 w77 w7", generate_kwargs={**GREEDY, "max_new_tokens": 3})
    assert "w77" not in server.log.read_text()


def test_each_request_is_one_json_line_of_the_log(server: ServerProcess) -> None:
    server.http.post(
        "/chat",
        json={"prompt": "w1", "generate_kwargs": {"max_new_tokens": 2}},
        headers={"X-Request-ID": "my-id"},
    )
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    (line,) = [line for line in lines if "my-id" in line.values()]
    assert line["tokens_out"] == 2


def test_probes_answer_while_a_generation_runs(server: ServerProcess) -> None:
    slow = threading.Thread(
        target=lambda: server.chat(prompt="w0", generate_kwargs={**GREEDY, "max_new_tokens": 600})
    )
    slow.start()
    began = time.monotonic()
    assert server.http.get("/livez").status_code == 200
    assert time.monotonic() - began < 1
    slow.join()


def test_a_client_that_leaves_stops_its_generation(server: ServerProcess) -> None:
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{server.http.base_url}/chat",
            json={"prompt": "w0", "generate_kwargs": {**GREEDY, "max_new_tokens": 2000, "eos_token_id": 88}},
            timeout=0.3,
        )
    began = time.monotonic()
    server.result(prompt="w1", generate_kwargs={"max_new_tokens": 1})
    assert time.monotonic() - began < 2  # 2,000 tokens take several times as long


@pytest.fixture
def busy(tiny: Path, tmp_path: Path) -> Any:
    arguments = ["--model", str(tiny / "model"), "--adapters", str(tiny / "none"), "--max-queue", "1"]
    with ServerProcess(tmp_path, *arguments) as server:
        yield server


LONG = {"prompt": "w0", "generate_kwargs": {**GREEDY, "max_new_tokens": 1500}}


def in_background(server: ServerProcess, answers: list[httpx.Response]) -> threading.Thread:
    thread = threading.Thread(
        target=lambda: answers.append(httpx.post(f"{server.http.base_url}/chat", json=LONG, timeout=60))
    )
    thread.start()
    return thread


def test_beyond_the_queue_requests_are_told_to_come_back(busy: ServerProcess) -> None:
    answers: list[httpx.Response] = []
    threads = [in_background(busy, answers) for _ in range(4)]
    eventually(lambda: any(answer.status_code == 429 for answer in list(answers)), timeout_s=20)
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert int(refused.headers["Retry-After"]) >= 1
    for thread in threads:
        thread.join()
    assert sorted(answer.status_code for answer in answers) == [200, 200, 429, 429]


def test_sigterm_lets_accepted_requests_finish_and_exits_with_0(busy: ServerProcess) -> None:
    answers: list[httpx.Response] = []
    thread = in_background(busy, answers)
    eventually(lambda: "kaito" in busy.http.get("/metrics").text and _in_flight(busy), timeout_s=10)
    busy.signal(signal.SIGTERM)
    eventually(lambda: busy.http.get("/healthz").status_code == 503, timeout_s=5)
    thread.join()
    assert answers[0].status_code == 200
    assert busy.wait() == 0


def _in_flight(server: ServerProcess) -> bool:
    lines = server.http.get("/metrics").text.splitlines()
    return any("queue" in line and line.endswith(" 1.0") for line in lines if not line.startswith("#"))


def test_two_adapters_are_combined_by_their_strengths(
    tiny: Path, tmp_path: Path, expected: dict[str, Any]
) -> None:
    arguments = ["--model", str(tiny / "model"), "--adapters", str(tiny / "adapters")]
    strengths = json.dumps({"first": 0.5, "second": 1.0})
    with ServerProcess(tmp_path, *arguments, KAITO_ADAPTER_STRENGTHS=strengths) as server:
        kwargs = {**GREEDY, "max_new_tokens": 40}
        assert (
            server.result(prompt=expected["endless"], generate_kwargs=kwargs).strip() == expected["combined"]
        )


def test_adapters_of_strength_0_change_nothing(tiny: Path, tmp_path: Path, expected: dict[str, Any]) -> None:
    arguments = ["--model", str(tiny / "model"), "--adapters", str(tiny / "adapters")]
    strengths = json.dumps({"first": 0, "second": 0})
    with ServerProcess(tmp_path, *arguments, KAITO_ADAPTER_STRENGTHS=strengths) as server:
        kwargs = {**GREEDY, "max_new_tokens": 40}
        assert server.result(prompt=expected["endless"], generate_kwargs=kwargs).strip() == expected["text"]


ENDS = [("other", 4, "AdapterRefused"), ("deeper", 4, "AdapterRefused")]


@pytest.mark.parametrize(("adapters", "code", "reason"), ENDS)
def test_an_adapter_of_another_model_ends_the_process_with_its_reason(
    tiny: Path, tmp_path: Path, adapters: str, code: int, reason: str
) -> None:
    server = ServerProcess(tmp_path, "--model", str(tiny / "model"), "--adapters", str(tiny / adapters))
    assert server.start().wait() == code
    assert server.termination_log.read_text().startswith(f"{reason}: ")


def test_a_folder_of_pth_files_ends_the_process_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "consolidated.00.pth").write_bytes(b"x")
    (tmp_path / "model" / "params.json").write_text("{}")
    server = ServerProcess(tmp_path, "--model", str(tmp_path / "model"))
    assert server.start().wait() == 3
    assert server.termination_log.read_text().startswith("WeightsFormat: ")


def test_a_base_model_takes_no_messages_and_returns_the_full_text(tiny: Path, tmp_path: Path) -> None:
    with ServerProcess(tmp_path, "--model", str(tiny / "base")) as server:
        refused = server.chat(messages=[{"role": "user", "content": "w1"}])
        assert refused.status_code == 400
        assert "template" in refused.json()["detail"]
        kwargs = {**GREEDY, "max_new_tokens": 3}
        assert server.result(prompt="w1 w2", generate_kwargs=kwargs).startswith("w1 w2")


def test_the_echo_engine_needs_no_weights_and_no_model_library(tmp_path: Path) -> None:
    began = time.monotonic()
    with ServerProcess(tmp_path, "--engine", "echo") as server:
        assert time.monotonic() - began < 5
        assert server.result(prompt="w1")
        assert server.process is not None
        maps = Path(f"/proc/{server.process.pid}/maps").read_text()
        assert "libtorch" not in maps
