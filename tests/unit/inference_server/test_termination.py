"""The termination log is written where the kubelet made one."""

from pathlib import Path

from inference_server.termination import write_termination_log


def test_the_reason_replaces_what_the_file_held(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("a much longer text of an earlier try")
    write_termination_log(log, "WeightsFormat", "no safetensors")
    assert log.read_text() == "WeightsFormat: no safetensors\n"


def test_no_file_is_made_where_there_is_none(tmp_path: Path) -> None:
    write_termination_log(tmp_path / "log", "WeightsFormat", "x")
    assert not (tmp_path / "log").exists()


def test_a_long_text_is_cut_to_what_the_kubelet_keeps(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    write_termination_log(log, "WeightsFormat", "x" * 9000)
    assert log.stat().st_size == 4096
