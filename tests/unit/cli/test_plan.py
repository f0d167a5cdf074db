"""`kaito plan`: the verdict, its exit code, and both ways of telling it."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from kaito_operator.cli.__main__ import main


def manifest(tmp_path: Path, name: str = "phi-2", resource: str = "{}", options: str = "{}") -> str:
    path = tmp_path / "workspace.yaml"
    path.write_text(
        "apiVersion: kaito.sh/v1alpha1\nkind: Workspace\nmetadata: {name: mine}\n"
        f"resource: {resource}\n"
        f"inference: {{preset: {{name: {name}, presetOptions: {options}}}}}\n"
    )
    return str(path)


def as_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    code = main(["plan", *arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def as_text(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(["plan", *arguments])
    return code, capsys.readouterr().out


CASES = [
    ("phi-2", "{}", (), 0, "fits", []),
    ("phi-2", "{instanceType: Standard_NC24ads_A100_v4}", (), 0, "fits", []),
    ("phi-2", "{instanceType: Standard_of_tomorrow}", (), 0, "unknown", []),
    ("phi-2", "{}", ("--provisioning", "none"), 0, "unknown", []),
    ("mistral-7b", "{instanceType: Standard_NC4as_T4_v3}", (), 3, "doesNotFit", ["ModelDoesNotFit"]),
    ("mistral-7b", "{instanceType: Standard_NC4as_T4_v3}", ("--quantization", "4bit"), 0, "fits", []),
    ("phi-2", "{instanceType: Standard_NC6s_v3}", (), 3, "doesNotFit", ["GpuTooOld"]),
    ("phi-2", "{instanceType: Standard_NC6s_v3}", ("--oldest-gpu", "7.0"), 0, "fits", []),
    ("mistral-7b", "{}", ("--concurrency", "4000"), 3, "doesNotFit", ["NothingFits"]),
    ("phi-5", "{}", (), 2, "invalid", ["PresetUnknown"]),
    (
        "llama-2-7b",
        "{instanceType: Standard_NC6s_v3}",
        (),
        2,
        "invalid",
        ["PresetPrivate", "GpuTooOld"],
    ),
]


@pytest.mark.parametrize(("name", "resource", "options", "code", "verdict", "reasons"), CASES)
def test_the_verdict_is_told_by_the_exit_code_in_json_and_in_text(
    name: str,
    resource: str,
    options: tuple[str, ...],
    code: int,
    verdict: str,
    reasons: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = manifest(tmp_path, name, resource)
    found, data = as_json(capsys, "-f", file, *options)
    assert (found, data["verdict"], [p["reason"] for p in data["problems"]]) == (code, verdict, reasons)
    found, text = as_text(capsys, "-f", file, *options)
    assert found == code
    assert all(reason in text for reason in reasons)


def test_the_json_tells_the_whole_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, data = as_json(capsys, "-f", manifest(tmp_path), "--context", "1024")
    assert (data["workspace"], data["preset"], data["instanceType"]) == (
        "mine",
        "phi-2",
        "Standard_NC4as_T4_v3",
    )
    assert (data["dtype"], data["contextTokens"], data["sequences"]) == ("float16", 1024, 1)
    memory = data["memoryPerGpu"]
    parts = ("weightsBytes", "kvCacheBytes", "activationBytes", "overheadBytes")
    assert sum(memory[part] for part in parts) == memory["neededBytes"] <= memory["usableBytes"]
    assert sum(data["seconds"].values()) == data["plan"]["expectedSecondsToReady"]
    assert data["plan"]["pricePerHour"] == "0.526"


def test_the_text_tells_type_memory_price_alternatives_and_rejections(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, text = as_text(capsys, "-f", manifest(tmp_path))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[0] == "mine: phi-2: it fits"
    assert "instance type Standard_NC4as_T4_v3 (chosen: the cheapest that holds it)" in lines
    assert "GPUs 1 x T4 16 GiB on each node; 1 for each pod" in lines
    assert "price 0.526 US dollars per hour (eastus, 2026-06-18; on demand, before tax)" in lines
    assert "ready in about 12 minutes, 7 of them for a new node" in lines
    assert "GPU memory: 8.5 GiB of 14.5 GiB" in lines
    assert "Standard_NC8as_T4_v3 1 1 8.5 GiB 14.5 GiB 0.752" in lines
    assert "Standard_NV12ads_A10_v5 needs 8.5 GiB on 1 GPU, has 7.2 GiB" in lines


def test_a_type_without_a_price_is_said_to_have_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, text = as_text(capsys, "-f", manifest(tmp_path, resource="{instanceType: g5.xlarge}"))
    assert "no price known" in text
    assert "Warning: g5.xlarge is a type of aws" in text


def test_the_bars_of_the_memory_add_up_to_the_gpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, text = as_text(capsys, "-f", manifest(tmp_path))
    assert 38 <= text.count("█") + text.count("░") <= 42


def test_a_model_over_several_gpus_is_told_how_it_is_divided(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = manifest(tmp_path, "falcon-40b", "{instanceType: Standard_NC96ads_A100_v4}")
    _, text = as_text(capsys, "-f", file)
    assert "2 for each pod; layers dealt out to 2" in text
    assert "Memory of the fullest of 2 GPUs: 42.2 GiB of 78.7 GiB" in text


def test_more_context_than_the_model_takes_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, data = as_json(capsys, "-f", manifest(tmp_path), "--context", "9999")
    assert data["contextTokens"] == 2048
    assert "phi-2 takes 2,048 tokens: so many are planned, not 9,999." in data["plan"]["warnings"]


def test_a_template_is_let_through_with_nothing_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(
        "apiVersion: kaito.sh/v1alpha1\nkind: Workspace\nmetadata: {name: own}\n"
        "inference: {template: {spec: {containers: [{name: c, image: i}]}}}\n"
    )
    code, text = as_text(capsys, "-f", str(path))
    assert code == 0
    assert "own: template: not known whether it fits" in text
    assert "not known: name one in resource.instanceType" in text
    assert "ready in" not in text, "nobody knows how long a node of no type takes"


def test_the_price_is_said_to_be_that_of_all_nodes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    resource = "{instanceType: Standard_NC24ads_A100_v4, count: 2}"
    _, text = as_text(capsys, "-f", manifest(tmp_path, resource=resource))
    assert "US dollars per hour for all 2 nodes" in text


def test_a_workspace_that_tunes_is_called_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "tuning.yaml"
    path.write_text(
        "apiVersion: kaito.sh/v1alpha1\nkind: Workspace\nmetadata: {name: own}\n"
        "tuning: {preset: {name: phi-2}, method: lora, input: {image: r.io/d:1}, "
        "output: {image: r.io/o:1, imagePushSecret: s}}\n"
    )
    _, text = as_text(capsys, "-f", str(path))
    assert text.startswith("own: tuning: ")


def test_the_standard_input_is_read_for_a_dash(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(Path(manifest(tmp_path)).read_text()))
    assert as_json(capsys, "-f", "-")[1]["workspace"] == "mine"


def test_bad_input_is_told_with_path_and_cause_in_json_and_on_the_error_stream(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["plan", "-f", manifest(tmp_path, resource="{cuont: 2}"), "--json"])
    told = capsys.readouterr()
    (problem,) = json.loads(told.out)["problems"]
    assert (code, problem["reason"], problem["path"]) == (2, "InvalidSpec", "resource.cuont")
    assert "kaito: resource.cuont: there is no such field; did you mean count?" in told.err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["plan"],
        ["plan", "-f", "x", "--oldest-gpu", "new"],
        ["plan", "-f", "x", "--context", "0"],
        ["plan", "-f", "x", "--concurrency", "many"],
        ["plan", "-f", "x", "--quantization", "2bit"],
        ["forecast"],
    ],
)
def test_wrong_arguments_are_bad_input(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: kaito" in capsys.readouterr().err
