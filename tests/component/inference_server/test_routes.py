"""The HTTP contract, against the real server with a tiny model."""

from __future__ import annotations

import concurrent.futures
import re
import socket
from typing import Any

import httpx
import pytest

from tests.component.inference_server.conftest import Tiny
from tests.component.inference_server.process import ServerProcess, wait_for

pytestmark = pytest.mark.component
GREEDY = {"do_sample": False}
MARKED = "secret-word-that-no-log-may-have"


def ask(client: httpx.Client, **body: Any) -> httpx.Response:
    return client.post("/chat", json=body)


def result(client: httpx.Client, **body: Any) -> str:
    answer = ask(client, **body)
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"Result"}
    return str(answer.json()["Result"])


def refusal(client: httpx.Client, code: int, **body: Any) -> Any:
    answer = ask(client, **body)
    assert answer.status_code == code, answer.text
    return answer.json()["detail"]


def metric(client: httpx.Client, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", client.get("/metrics").text, re.MULTILINE)
    return float(found.group(1)) if found else 0.0


def test_the_plain_routes_answer_as_in_v030(client: httpx.Client) -> None:
    assert client.get("/").json() == {"message": "Server is running"}
    assert client.get("/healthz").json() == {"status": "Healthy"}
    assert client.get("/livez").status_code == 200
    assert client.get("/nothing").json() == {"detail": "Not Found"}
    assert client.get("/chat").json() == {"detail": "Method Not Allowed"}
    assert "/chat" in client.get("/openapi.json").json()["paths"]


def test_a_greedy_answer_is_what_generate_says_itself(client: httpx.Client, made: Tiny) -> None:
    kwargs = {**GREEDY, "max_new_tokens": 40}
    assert result(client, prompt=made.expected["endless"], generate_kwargs=kwargs) == made.expected["text"]


def test_messages_and_a_formatted_prompt_mean_the_same_as_the_plain_prompt(
    client: httpx.Client, made: Tiny
) -> None:
    kwargs = {**GREEDY, "max_new_tokens": 40}
    word = made.expected["endless"]
    formatted = f"<|user|> {word} <|end|> <|assistant|>"
    messages = [{"role": "user", "content": word}]
    assert result(client, prompt=formatted, generate_kwargs=kwargs) == made.expected["text"]
    assert result(client, messages=messages, generate_kwargs=kwargs) == made.expected["text"]


@pytest.mark.parametrize("source", ["tokenizer", "config"])
def test_the_end_tokens_of_tokenizer_and_generation_config_both_end_an_answer(
    client: httpx.Client, made: Tiny, source: str
) -> None:
    expected = made.expected[source]
    assert expected["last"] == made.expected["eos"][source]  # the model made for this does say it
    assert result(client, prompt=expected["word"], generate_kwargs=GREEDY) == expected["text"]


def test_200_tokens_are_generated_however_long_the_prompt_is(client: httpx.Client, made: Tiny) -> None:
    for words in (1, 300):
        prompt = " ".join(["w5"] * (words - 1) + [made.expected["endless"]])
        before = metric(client, "kaito_inference_generated_tokens_total")
        text = result(client, prompt=prompt, generate_kwargs={**GREEDY, "min_length": words + 205})
        assert metric(client, "kaito_inference_generated_tokens_total") - before == 200
        assert len(text.split()) == 200


def test_max_length_counts_the_prompt_too(client: httpx.Client, made: Tiny) -> None:
    word = made.expected["endless"]
    text = result(client, prompt=word, generate_kwargs={**GREEDY, "max_length": 14})
    assert text.split() == made.expected["text"].split()[:10]  # the rendered prompt has 4 tokens
    detail = refusal(client, 400, prompt=f"{word} " * 30, generate_kwargs={"max_length": 20})
    assert "max_length is 20" in detail
    assert "33" in detail


def test_a_prompt_that_does_not_fit_is_told_limit_and_size(client: httpx.Client, made: Tiny) -> None:
    detail = refusal(client, 400, prompt="w1 " * 3000)
    assert str(made.expected["context"]) in detail
    assert "3003 tokens" in detail
    assert result(client, prompt="w1 " * 3000, handle_long_generation="hole", generate_kwargs=GREEDY)


def test_an_answer_stops_before_a_stop_text(client: httpx.Client, made: Tiny) -> None:
    words = made.expected["text"].split()
    kwargs = {**GREEDY, "stop": [f"{words[5]} {words[6]}"]}
    text = result(client, prompt=made.expected["endless"], generate_kwargs=kwargs)
    assert text.split() == words[:5]
    kwargs = {**GREEDY, "stop_sequence": words[2]}
    assert result(client, prompt=made.expected["endless"], generate_kwargs=kwargs).split() == words[:2]


def test_return_full_text_puts_the_prompt_before_the_answer(client: httpx.Client, made: Tiny) -> None:
    word = made.expected["endless"]
    kwargs = {**GREEDY, "max_new_tokens": 40}
    text = result(client, prompt=word, return_full_text=True, generate_kwargs=kwargs)
    assert text == word + made.expected["text"]


def test_a_seed_repeats_an_answer_and_does_not_carry_over(client: httpx.Client) -> None:
    def draw(seed: int | None) -> str:
        kwargs = {"temperature": 5, "top_k": 0, "max_new_tokens": 20, "seed": seed}
        return result(client, prompt="w9", generate_kwargs=kwargs)

    assert draw(4) == draw(4)
    assert draw(4) != draw(5)
    after = [(draw(4), draw(None))[1] for _ in range(2)]
    assert after[0] != after[1]


def test_several_answers_stand_on_lines_of_their_own(client: httpx.Client) -> None:
    kwargs = {"num_return_sequences": 3, "temperature": 5, "max_new_tokens": 12}
    assert len(result(client, prompt="w9", generate_kwargs=kwargs).split("\n")) == 3
    beams = {**GREEDY, "num_beams": 3, "num_return_sequences": 2, "early_stopping": True}
    assert len(result(client, prompt="w9", generate_kwargs=beams).split("\n")) == 2


def test_the_example_of_v030s_documentation_is_answered(client: httpx.Client) -> None:
    kwargs = {
        "max_length": 200,
        "min_length": 0,
        "do_sample": True,
        "early_stopping": False,
        "num_beams": 1,
        "num_beam_groups": 1,
        "diversity_penalty": 0.0,
        "temperature": 1.0,
        "top_k": 10,
        "top_p": 1,
        "typical_p": 1,
        "repetition_penalty": 1,
        "length_penalty": 1,
        "no_repeat_ngram_size": 0,
        "encoder_no_repeat_ngram_size": 0,
        "bad_words_ids": None,
        "num_return_sequences": 1,
        "output_scores": False,
        "return_dict_in_generate": False,
        "forced_bos_token_id": None,
        "forced_eos_token_id": None,
        "remove_invalid_values": None,
    }
    body = {"prompt": "w9", "return_full_text": False, "clean_up_tokenization_spaces": False, "prefix": None}
    assert result(client, **body, handle_long_generation=None, generate_kwargs=kwargs)


def test_keys_that_would_run_foreign_code_are_refused_by_name(client: httpx.Client, made: Tiny) -> None:
    folder = made.folder / "evil"
    (folder / "custom_generate").mkdir(parents=True)
    proof = made.folder / "foreign-code-ran"
    code = f"import pathlib\npathlib.Path({str(proof)!r}).touch()\n"
    (folder / "custom_generate" / "generate.py").write_text(code)
    kwargs = {"custom_generate": str(folder), "trust_remote_code": True}
    detail = refusal(client, 400, prompt="w1", generate_kwargs=kwargs)
    assert "'custom_generate'" in detail
    assert "'trust_remote_code'" in detail
    assert "max_new_tokens" in detail
    assert not proof.exists()


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({}, "Text generation parameter prompt required"),
        ({"prompt": ""}, "Text generation parameter prompt required"),
        ({"messages": []}, "Conversational parameter messages required"),
        ({"prompt": "w1", "generate_kwargs": {"temperature": -1}}, "0 or more"),
        ({"prompt": "w1", "generate_kwargs": {"top_p": 1.5}}, "more than 0, at most 1"),
        ({"prompt": "w1", "generate_kwargs": {"num_return_sequences": 5}}, "at most 4"),
        ({"prompt": "w1", "generate_kwargs": {"num_beam_groups": 2}}, "num_beam_groups"),
        ({"prompt": "w1", "generate_kwargs": {"eos_token_id": 5000}}, "ids 0 to 96"),
        ({"prompt": "w1", "handle_long_generation": "cut"}, "hole"),
        ({"messages": [{"role": "wizard", "content": "w1"}]}, "'assistant'"),
        (
            {"messages": [{"role": "user", "content": "w1"}, {"role": "system", "content": "w2"}]},
            "only the first message may be a system message",
        ),
    ],
)
def test_a_wrong_value_is_a_400_that_says_what_is_right(
    client: httpx.Client, body: dict[str, Any], text: str
) -> None:
    assert text in refusal(client, 400, **body)


@pytest.mark.parametrize(
    "body",
    [
        {"prompt": 5},
        {"messages": "w1"},
        {"prompt": "w1", "generate_kwargs": {"top_k": "many"}},
        {"prefix": []},
    ],
)
def test_a_wrong_type_is_a_422_that_names_the_field(client: httpx.Client, body: dict[str, Any]) -> None:
    detail = refusal(client, 422, **body)
    assert {"loc", "msg", "type"} == set(detail[0])


def test_a_body_above_the_limit_is_a_413(client: httpx.Client) -> None:
    assert "20000 bytes" in refusal(client, 413, prompt="w1 " * 10_000)
    chunks = (b"x" * 5000 for _ in range(6))  # sent without a length
    assert client.post("/chat", content=chunks).status_code == 413


def test_more_requests_than_may_wait_are_told_to_come_back(client: httpx.Client, made: Tiny) -> None:
    kwargs = {**GREEDY, "max_new_tokens": 400, "min_length": 400}
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        sent = [
            pool.submit(ask, client, prompt=made.expected["endless"], generate_kwargs=kwargs)
            for _ in range(8)
        ]
        answers = [future.result() for future in sent]
    codes = sorted(answer.status_code for answer in answers)
    assert codes == [200] * 5 + [429] * 3  # four run, one waits
    refused = [answer for answer in answers if answer.status_code == 429]
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)


def test_requests_that_run_together_each_get_the_answer_of_one_alone(
    client: httpx.Client, made: Tiny
) -> None:
    words = [f"w{number}" for number in range(4)]
    kwargs = {**GREEDY, "max_new_tokens": 60, "min_length": 60}
    alone = [result(client, prompt=word, generate_kwargs=kwargs) for word in words]
    steps, rows = (
        metric(client, "kaito_inference_steps_total"),
        metric(client, "kaito_inference_step_rows_total"),
    )
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        sent = [pool.submit(result, client, prompt=word, generate_kwargs=kwargs) for word in words]
        assert [future.result() for future in sent] == alone
    made_steps = metric(client, "kaito_inference_steps_total") - steps
    assert metric(client, "kaito_inference_step_rows_total") - rows > 1.2 * made_steps


def test_a_model_is_called_by_the_workspaces_name_or_the_served_one(client: httpx.Client, made: Tiny) -> None:
    kwargs = {**GREEDY, "max_new_tokens": 40}
    for name in ("shop", "shop:base", "tiny", "tiny:base"):
        answer = result(client, model=name, prompt=made.expected["endless"], generate_kwargs=kwargs)
        assert answer == made.expected["text"]
    assert "shop:base" in refusal(client, 404, model="shop:bse", prompt="w1")


def test_probes_answer_while_a_long_generation_runs(client: httpx.Client, made: Tiny) -> None:
    kwargs = {**GREEDY, "max_new_tokens": 400, "min_length": 400}
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask, client, prompt=made.expected["endless"], generate_kwargs=kwargs)
        probes = 0
        while not answer.done():
            for path in ("/livez", "/healthz"):
                assert client.get(path, timeout=1).status_code == 200
            probes += 1
        assert answer.result().status_code == 200
    assert probes > 3


def test_a_client_that_leaves_stops_its_generation(client: httpx.Client, running: ServerProcess) -> None:
    slow = '{"max_new_tokens": 2000, "min_length": 2000, "num_beams": 16}'  # half a minute at best
    body = f'{{"prompt": "w1", "generate_kwargs": {slow}}}'
    head = f"POST /chat HTTP/1.1\r\nHost: x\r\nX-Request-Id: leaver\r\nContent-Length: {len(body)}\r\n\r\n"
    port = int(running.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall((head + body).encode())
        wait_for(lambda: metric(client, "kaito_inference_queue_depth") == 1, 10, "the request runs")
    wait_for(lambda: metric(client, "kaito_inference_queue_depth") == 0, 10, "the request is gone")
    # The engine has one thread: that this is answered shows that it has left the other request.
    client.timeout = httpx.Timeout(8)
    assert result(client, prompt="w1", generate_kwargs={**GREEDY, "max_new_tokens": 1})
    logged = [line for line in running.lines if line.get("request_id") == "leaver"]
    assert [line["code"] for line in logged] in ([], [499])


def test_metrics_are_prometheus_text_and_v030s_json_on_request(client: httpx.Client) -> None:
    text = client.get("/metrics").text
    for name in (
        "requests_total",
        "request_seconds_bucket",
        "prompt_tokens_total",
        "queue_depth",
        "ready 1.0",
    ):
        assert f"kaito_inference_{name}" in text
    assert metric(client, "kaito_inference_load_seconds") > 0
    body = client.get("/metrics", headers={"Accept": "application/json"}).json()
    assert body["gpu_info"] is None
    assert set(body["cpu_info"]) == {"load_percentage", "physical_cores", "total_cores", "memory"}
    assert re.fullmatch(r"\d+\.\d\d GB", body["cpu_info"]["memory"]["total"])


def test_each_request_is_one_log_line_with_its_id_and_no_text(
    client: httpx.Client, running: ServerProcess
) -> None:
    headers = {"X-Request-Id": "my-own.id"}
    body = {"prompt": f"w1 {MARKED}", "generate_kwargs": {**GREEDY, "max_new_tokens": 3}}
    answer = client.post("/chat", json=body, headers=headers)
    assert answer.headers["X-Request-Id"] == "my-own.id"
    wait_for(lambda: "my-own.id" in running.text(), 5, "the line is logged")
    (line,) = [line for line in running.lines if line.get("request_id") == "my-own.id"]
    assert (line["code"], line["tokens_in"], line["tokens_out"]) == (200, 5, 3)
    client.post("/chat", json={"prompt": "w1", "generate_kwargs": {MARKED: 1}})
    client.get(f"/{MARKED}")
    client.get("/", headers={"X-Request-Id": f"{MARKED} {MARKED}"})
    assert MARKED not in running.text()
