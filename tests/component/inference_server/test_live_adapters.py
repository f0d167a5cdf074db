"""Adapters of a running server: the test plays the sidecar, which writes state.json."""

from __future__ import annotations

import json
import shutil
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from inference_server.adapter_sync.state import (
    IN_USE_FILE,
    STATE_FILE,
    LiveAdapter,
    LiveState,
    PullState,
    replace_file,
)
from tests.component.inference_server.conftest import Tiny
from tests.component.inference_server.process import ServerProcess, wait_for

pytestmark = pytest.mark.component
LONG = 1500  # tokens: seconds on the tiny model
RANK, HIDDEN, MIDDLE = 4096, 64, 128  # 10 MiB on the tiny model


class Sidecar:
    """Puts adapters into the shared folder, and lists them."""

    def __init__(self, live: Path) -> None:
        self.live = live
        self.count = 0

    def put(self, name: str, source: Path, strength: float = 1.0) -> LiveAdapter:
        """Copy an adapter as if it had been pulled; each call is another digest."""
        self.count += 1
        digest = f"{self.count:064x}"[::-1]
        folder = self.live / f"{name}@{digest[:12]}"
        shutil.copytree(source, folder)
        return LiveAdapter(
            name, f"r/{name}:v{self.count}", strength, f"sha256:{digest}", str(folder), PullState.PULLED
        )

    def list(self, *adapters: LiveAdapter, combination: str = "cat") -> str:
        """Write state.json; return its generation."""
        self.count += 1
        state = LiveState(str(self.count), combination, adapters)
        replace_file(self.live / STATE_FILE, state.render())
        return state.generation


class Live:
    """A server with live adapters."""

    def __init__(self, made: Tiny, folder: Path) -> None:
        self.made = made
        self.live = folder / "live"
        self.live.mkdir()
        self.sidecar = Sidecar(self.live)
        self.server = ServerProcess(
            *("--model", str(made.folder / "model"), "--dtype", "float32", "--workspace-name", "shop"),
            *("--live-adapters", str(self.live)),
            log=folder / "log",
        )

    def adapters(self) -> dict[str, Any]:
        with self.server.client() as client:
            return dict(client.get("/adapters").json())

    def settle(self, generation: str) -> dict[str, dict[str, Any]]:
        """Wait until a list is followed; return what is said of each adapter."""

        def settled() -> bool:
            said = self.adapters()
            waits = any(adapter["state"] in ("Pulling", "Loading") for adapter in said["adapters"])
            return said["generation"] == generation and not waits

        wait_for(settled, 20, f"generation {generation}")
        return {adapter["name"]: adapter for adapter in self.adapters()["adapters"]}

    def ask(self, model: str | None = None, tokens: int = 40, least: int = 0) -> str:
        body: dict[str, Any] = {"messages": [{"role": "user", "content": self.made.expected["endless"]}]}
        body["generate_kwargs"] = {"do_sample": False, "max_new_tokens": tokens, "min_length": least}
        with self.server.client() as client:
            answer = client.post("/chat", json=body | ({"model": model} if model else {}), timeout=120)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["Result"])

    def in_use(self) -> set[str]:
        return {Path(path).name for path in json.loads((self.live / IN_USE_FILE).read_text())["paths"]}


@pytest.fixture(scope="module")
def live(made: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Starts with a list of one adapter that is still being pulled, and one that is broken."""
    started = Live(made, tmp_path_factory.mktemp("live"))
    narrow = started.sidecar.put("narrow", made.folder / "other" / "narrow")
    started.sidecar.list(LiveAdapter("first", "r/first:v1", 1.0), narrow)
    try:
        yield started
    finally:
        started.server.stop()


def test_it_is_ready_when_the_first_list_has_settled(live: Live, made: Tiny) -> None:
    def phase() -> str:
        return str(httpx.get(f"{live.server.url}/healthz", trust_env=False).json().get("phase"))

    wait_for(lambda: phase() == "adapters", 90, "the phase of adapters")
    wait_for(lambda: live.adapters()["adapters"][1:] != [], 10, "the list")
    narrow = live.sidecar.put("narrow", made.folder / "other" / "narrow")
    first = live.sidecar.put("first", made.folder / "adapters" / "first")
    generation = live.sidecar.list(first, narrow)
    live.server.wait_ready()
    said = live.settle(generation)
    assert (said["first"]["state"], said["narrow"]["state"]) == ("Loaded", "Refused")
    assert said["narrow"]["reason"] == "AdapterRefused"
    assert "narrow" in said["narrow"]["message"]
    assert live.adapters()["engine"] == "transformers"


def test_the_merge_each_adapter_and_the_base_have_their_own_answers(live: Live, made: Tiny) -> None:
    first = live.sidecar.put("first", made.folder / "adapters" / "first", 0.5)
    second = live.sidecar.put("second", made.folder / "adapters" / "second")
    live.settle(live.sidecar.list(first, second))
    assert live.ask() == live.ask("shop") == made.expected["combined"]
    assert live.ask("shop:base") == made.expected["text"]
    answers = {live.ask(name) for name in ("shop", "shop:base", "first", "second")}
    assert len(answers) == 4
    live.settle(live.sidecar.list(replace(first, strength=0.0), replace(second, strength=0.0)))
    assert live.ask() == live.ask("first") == made.expected["text"]


def test_a_running_request_keeps_the_adapter_with_which_it_began(live: Live, made: Tiny) -> None:
    old = live.sidecar.put("swap", made.folder / "adapters" / "first")
    live.settle(live.sidecar.list(old))
    wanted, answers = live.ask("swap", LONG, LONG), list[str]()
    asking = threading.Thread(target=lambda: answers.append(live.ask("swap", LONG, LONG)))
    asking.start()
    time.sleep(0.3)
    new = live.sidecar.put("swap", made.folder / "adapters" / "second")
    said = live.settle(live.sidecar.list(new))
    assert said["swap"]["digest"] == new.digest
    assert asking.is_alive()
    fresh = live.ask("swap")
    assert asking.is_alive()  # still: both revisions have answered side by side
    assert fresh != wanted[: len(fresh)]
    asking.join(120)
    assert answers == [wanted]
    wait_for(lambda: live.in_use() == {Path(new.path).name}, 20, "the old revision is gone")


def test_a_removed_adapter_is_not_found_and_the_base_answers(live: Live, made: Tiny) -> None:
    live.settle(live.sidecar.list())
    assert live.ask() == made.expected["text"]
    with live.server.client() as client:
        answer = client.post("/chat", json={"prompt": "w1", "model": "swap"})
    assert answer.status_code == 404
    assert "shop" in answer.json()["detail"]
    wait_for(lambda: live.in_use() == set(), 20, "nothing is in use")


def test_thirty_swaps_leave_the_memory_as_it_was(live: Live, tmp_path: Path) -> None:
    large = large_adapter(tmp_path / "large")

    def swap(times: int) -> int:
        last: Sequence[LiveAdapter] = ()
        for _ in range(times):
            adapter = live.sidecar.put("large", large)
            assert live.settle(live.sidecar.list(adapter))["large"]["state"] == "Loaded"
            last = (adapter,)
        wait_for(lambda: live.in_use() == {Path(one.path).name for one in last}, 30, "old ones are gone")
        live.ask("large", 2)
        return live.server.resident_bytes()

    before = swap(10)
    after = swap(30)
    assert after - before < 40 * 2**20, f"{(after - before) / 2**20:.0f} MiB more after 300 MiB were loaded"


def large_adapter(folder: Path) -> Path:
    """Write an adapter of many small numbers, by the format's definition: a header, and numbers."""
    folder.mkdir()
    config = {"peft_type": "LORA", "r": RANK, "lora_alpha": 1, "target_modules": ["q_proj", "down_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    header: dict[str, Any] = {}
    end = 0
    for layer in (0, 1):
        for path, inputs in (("self_attn.q_proj", HIDDEN), ("mlp.down_proj", MIDDLE)):
            for part, shape in (("lora_A", [RANK, inputs]), ("lora_B", [HIDDEN, RANK])):
                size = shape[0] * shape[1] * 4
                key = f"base_model.model.model.layers.{layer}.{path}.{part}.weight"
                header[key] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
                end += size
    text = json.dumps(header).encode()
    numbers = struct.pack("<f", 1e-3) * (end // 4)
    (folder / "adapter_model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + numbers)
    return folder
