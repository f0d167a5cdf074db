"""From a prompt to rows, and from loaded to ready."""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path

import pytest
from typing_extensions import override

from inference_server.engine import NewRow, Outcome, Phase, Report, Sampling, Token
from inference_server.errors import (
    BadRequest,
    EngineFailed,
    InternalError,
    ModelTooLarge,
    OutOfMemory,
    RequestError,
    WeightsFormat,
)
from inference_server.options import ServerOptions
from inference_server.prompts import Prompt
from inference_server.service import Service
from tests.unit.inference_server.scripted import ScriptedBatch, ScriptedEngine

CHAT = Prompt(tuple(range(65, 85)), "x", templated=True)


def make_service(tmp_path: Path, engine: ScriptedEngine | None = None) -> Service:
    options = ServerOptions(termination_log=tmp_path / "none", adapters=tmp_path / "no-adapters")
    return Service(options, engine or ScriptedEngine())


@pytest.fixture
def service(tmp_path: Path) -> Service:
    made = make_service(tmp_path)
    made.load()
    return made


def test_each_answer_is_a_row_of_its_own_with_the_next_seed(service: Service) -> None:
    rows = service.generation(CHAT, Sampling(max_new_tokens=5, seed=7), 3, "a@1").rows
    assert [row.sampling.seed for row in rows] == [7, 8, 9]
    assert len({row.id for row in rows}) == 3
    assert len({row.group for row in rows}) == 1
    assert {row.adapter for row in rows} == {"a@1"}
    assert {row.sampling.num_return_sequences for row in rows} == {1}


def test_without_a_seed_no_row_has_one(service: Service) -> None:
    rows = service.generation(CHAT, Sampling(max_new_tokens=5), 2).rows
    assert [row.sampling.seed for row in rows] == [None, None]


def test_ids_are_never_used_twice(service: Service) -> None:
    made = [service.generation(CHAT, Sampling(max_new_tokens=5), 2) for _ in range(3)]
    ids = [row.id for generation in made for row in generation.rows]
    assert len(set(ids)) == 6
    assert len({row.group for generation in made for row in generation.rows}) == 3
    assert 0 not in ids  # the warm-up's


def test_the_answers_of_a_beam_search_come_from_one_row(service: Service) -> None:
    (row,) = service.generation(CHAT, Sampling(max_new_tokens=5, num_beams=4), 3).rows
    assert row.sampling.num_return_sequences == 3


def test_only_a_text_that_goes_on_is_context_for_its_answer(service: Service) -> None:
    continued = Prompt(CHAT.token_ids, "x", templated=False)
    assert service.generation(CHAT, Sampling(max_new_tokens=5), 1).context == ()
    context = service.generation(continued, Sampling(max_new_tokens=5), 1).context
    assert context == CHAT.token_ids[-len(context) :]
    assert len(context) >= 4  # a character may take as many tokens


UNKNOWN = [
    {"eos_token_ids": (0x110000,)},
    {"pad_token_id": 0x110000},
    {"logit_bias": {0x110000: 1.0}},
    {"logit_bias": {-1: 1.0}},
]


@pytest.mark.parametrize("wrong", UNKNOWN, ids=str)
def test_a_token_id_that_the_model_does_not_have_is_refused(
    service: Service, wrong: Mapping[str, object]
) -> None:
    with pytest.raises(BadRequest, match="does not exist; this model has ids 0 to 1114111"):
        service.generation(CHAT, Sampling(max_new_tokens=5, **wrong), 1)  # type: ignore[arg-type] # a table's


class _Phases(ScriptedEngine):
    """Reports a load of two halves, or raises."""

    def __init__(self, failure: Exception | None = None) -> None:
        super().__init__()
        self.seen: list[float] = []
        self.service: Service | None = None
        self.error = failure

    @override
    def load(self, report: Report) -> None:
        for phase, done in ((Phase.LIBRARIES, None), (Phase.WEIGHTS, 0.0), (Phase.WEIGHTS, 0.5)):
            report(phase, done)
            assert self.service is not None
            self.seen.append(self.service.health.readiness()[1]["progress"])
        if self.error:
            raise self.error


def test_progress_is_told_while_weights_are_loaded(tmp_path: Path) -> None:
    engine = _Phases()
    engine.service = make_service(tmp_path, engine)
    engine.service.load()
    assert engine.seen == [0.0, 0.0, 0.5]
    assert engine.service.health.phase is Phase.WARMUP
    assert engine.service.health.progress == 1.0


@pytest.mark.parametrize("error", [WeightsFormat("no tensors"), ZeroDivisionError("x")])
def test_a_load_that_fails_is_told_by_health(tmp_path: Path, error: Exception) -> None:
    engine = _Phases(error)
    engine.service = make_service(tmp_path, engine)
    with pytest.raises(type(error)):
        engine.service.load()
    assert engine.service.health.phase is Phase.FAILED
    assert engine.service.health.readiness()[0] == 500


class _FirstToken(ScriptedBatch):
    """Needs `steps` steps for the first token, which then is `outcome`."""

    def __init__(self, steps: int, outcome: Outcome) -> None:
        super().__init__()
        self.left = steps
        self.outcome = outcome

    @override
    def step(self) -> Mapping[int, Outcome]:
        self.left -= 1
        return {} if self.left else {0: self.outcome}


def test_a_prompt_may_take_several_steps_before_the_first_token(tmp_path: Path) -> None:
    engine = ScriptedEngine()
    engine.batch = _FirstToken(3, Token(65))
    make_service(tmp_path, engine).load()
    assert engine.batch.log == [("add", "Hello"), ("remove", "Hello")]


@pytest.mark.parametrize(
    ("outcome", "error"), [(OutOfMemory("x"), ModelTooLarge), (InternalError("broken"), EngineFailed)]
)
def test_a_model_without_a_first_token_is_not_ready(
    tmp_path: Path, outcome: RequestError, error: type[Exception]
) -> None:
    engine = ScriptedEngine()
    engine.batch = _FirstToken(1, outcome)
    with pytest.raises(error):
        make_service(tmp_path, engine).load()


async def test_ready_is_said_once_and_with_its_time(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        await service.start()
    assert service.health.phase is Phase.READY
    (said,) = [record for record in caplog.records if record.message == "ready"]
    assert said.__dict__["seconds"] >= 0


async def test_what_a_stream_took_is_counted_once_it_is_over(service: Service) -> None:
    await service.start()
    stream = service.submit(service.generation(CHAT, Sampling(max_new_tokens=4), 2))
    await stream.collect()
    service.account(stream)
    text = service.metrics.prometheus_text().decode()
    assert "kaito_inference_prompt_tokens_total 20.0" in text
    assert "kaito_inference_generated_tokens_total 8.0" in text
    assert "kaito_inference_first_token_seconds_count 1.0" in text
    assert "kaito_inference_token_seconds_count 1.0" in text


async def test_a_stream_that_never_began_is_counted_without_times(service: Service) -> None:
    await service.start()
    service.engine.batch.add(NewRow(0, 0, (65,), Sampling(max_new_tokens=1)))
    stream = service.submit(service.generation(CHAT, Sampling(max_new_tokens=4), 1))
    stream.close()
    service.account(stream)
    await asyncio.sleep(0)
    text = service.metrics.prometheus_text().decode()
    assert "kaito_inference_generated_tokens_total 0.0" in text
    assert "kaito_inference_first_token_seconds_count 0.0" in text
