"""How the process ends, and what its engine does then."""

import asyncio
import threading
from pathlib import Path

from inference_server.errors import EngineFailed, ExitCode
from inference_server.options import ServerOptions
from inference_server.serve import _drain
from inference_server.service import Service
from inference_server.transformers_engine.engine import TransformersEngine
from tests.unit.inference_server.scripted import ScriptedEngine, generation, until


async def drained(tmp_path: Path, failure: Exception | None) -> ExitCode:
    engine = ScriptedEngine()
    options = ServerOptions(termination_log=tmp_path / "log", adapters=tmp_path / "none")
    service = Service(options, engine)
    service.load()
    gate = engine.batch.gate = threading.Semaphore(0)
    await service.start()
    service.submit(generation("text"))
    await until(lambda: service.scheduler.running_rows == 1)
    end: asyncio.Future[ExitCode] = asyncio.get_running_loop().create_future()
    draining = asyncio.ensure_future(_drain(service, 5, end))
    await asyncio.sleep(0)
    engine.batch.failure = failure
    gate.release(10)
    await draining
    return await end


async def test_a_server_that_drains_ends_with_0(tmp_path: Path) -> None:
    assert await drained(tmp_path, None) is ExitCode.OK


async def test_an_engine_that_breaks_while_it_drains_gives_the_code(tmp_path: Path) -> None:
    assert await drained(tmp_path, EngineFailed("CUDA error")) is ExitCode.ENGINE


class _Leading:
    def __init__(self) -> None:
        self.calls: list[str] = []

    def leave(self) -> None:
        self.calls.append("leave")

    def beat(self) -> None:
        self.calls.append("beat")


def test_no_beat_follows_those_who_were_sent_home(tmp_path: Path) -> None:
    """The beat would miss them, and a clean end be told as a lost process."""
    engine = TransformersEngine(ServerOptions(model=tmp_path))
    leading = engine._leading = _Leading()  # type: ignore[assignment] # the real one needs torch
    engine.beat()
    engine.close()
    engine.beat()
    engine.close()
    assert leading.calls == ["beat", "leave"]
