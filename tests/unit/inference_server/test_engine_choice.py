"""Which engine serves a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from inference_server.engine_choice import asks_for_adapters, choose_engine
from inference_server.options import ServerOptions


def chosen(folder: Path, *names: str, **changed: Any) -> tuple[str, str]:
    facts = {name: changed.pop(name, default) for name, default in FACTS.items()}
    for name in names:
        (folder / name).touch()
    return choose_engine(ServerOptions(model=folder, **changed), **facts)


FACTS = {"has_library": True, "has_gpu": False, "adapters": False}


def test_a_gguf_model_on_a_cpu_is_served_by_llama_cpp(tmp_path: Path) -> None:
    assert chosen(tmp_path, "m.Q4_K_M.gguf") == ("llama", "")


def test_safetensors_are_served_by_transformers_though_a_gguf_lies_beside_them(tmp_path: Path) -> None:
    assert chosen(tmp_path, "model.safetensors", "config.json", "m.gguf") == ("transformers", "")


def test_a_folder_that_is_not_there_is_left_to_transformers_which_says_so(tmp_path: Path) -> None:
    assert chosen(tmp_path / "absent") == ("transformers", "")


def test_the_part_of_a_model_that_sees_pictures_is_no_model(tmp_path: Path) -> None:
    assert chosen(tmp_path, "mmproj-f16.gguf") == ("transformers", "")


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"has_gpu": True}, "there is a GPU"),
        ({"world_size": 2}, "it is divided among processes"),
        ({"adapters": True}, "adapters were asked for"),
        ({"has_library": False}, "llama-cpp-python is not installed"),
    ],
)
def test_where_llama_cpp_cannot_serve_a_gguf_model_a_note_says_why(
    tmp_path: Path, changed: dict[str, Any], why: str
) -> None:
    kind, note = chosen(tmp_path, "m.gguf", **changed)
    assert kind == "transformers"
    assert why in note


@pytest.mark.parametrize("kind", ["transformers", "llama", "echo"])
def test_what_was_asked_for_is_taken(tmp_path: Path, kind: str) -> None:
    assert chosen(tmp_path, "m.gguf", engine=kind, has_library=False, has_gpu=True)[0] == kind


def test_a_quantization_that_means_nothing_here_is_noted(tmp_path: Path) -> None:
    assert "whatever quantization says" in chosen(tmp_path, "m.gguf", quantization="4bit")[1]


class Sleeper:
    """A clock that only counts, and lets the sidecar write after some looks."""

    def __init__(self, state: Path, content: object, looks: int) -> None:
        self.state, self.content, self.looks = state, content, looks
        self.slept = 0.0

    def __call__(self, seconds: float) -> None:
        self.slept += seconds
        self.looks -= 1
        if self.looks == 0:
            self.state.write_text(json.dumps(self.content))


@pytest.mark.parametrize(("adapters", "asked"), [([{"name": "a"}], True), ([], False)])
def test_the_sidecars_list_is_waited_for(tmp_path: Path, adapters: list[object], asked: bool) -> None:
    options = ServerOptions(adapters=tmp_path / "none", live_adapters=tmp_path)
    sleep = Sleeper(tmp_path / "state.json", {"adapters": adapters}, looks=3)
    assert asks_for_adapters(options, wait=sleep) is asked
    assert sleep.slept == pytest.approx(0.6)


def test_a_sidecar_that_never_writes_asks_for_nothing(tmp_path: Path) -> None:
    options = ServerOptions(adapters=tmp_path / "none", live_adapters=tmp_path)
    sleep = Sleeper(tmp_path / "state.json", {}, looks=10_000)
    assert asks_for_adapters(options, wait=sleep) is False
    assert sleep.slept == pytest.approx(10.0)


@pytest.mark.parametrize("text", ["", "[]", "{}", "nonsense"])
def test_a_list_that_cannot_be_read_asks_for_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    assert not asks_for_adapters(ServerOptions(adapters=tmp_path / "none", live_adapters=tmp_path))


def test_a_strength_or_a_folder_asks_for_adapters(tmp_path: Path) -> None:
    assert asks_for_adapters(ServerOptions(adapters=tmp_path, adapter_strengths={"a": 0.5}))
    assert not asks_for_adapters(ServerOptions(adapters=tmp_path))
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "adapter_config.json").touch()
    assert asks_for_adapters(ServerOptions(adapters=tmp_path))
