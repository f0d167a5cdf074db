import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.localcluster.errors import ClusterError
from tools.localcluster.processes import Daemon, Processes, boot_id, inhabits, is_ours, parse_stat, stat


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


@pytest.fixture
def processes(tmp_path: Path) -> Processes:
    (tmp_path / "records").mkdir()
    return Processes(tmp_path / "records", tmp_path / "logs")


def record(processes: Processes, tmp_path: Path, **values: object) -> None:
    content = {"pid": 1, "started_ticks": 0, "boot": boot_id(), "program": "p", **values}
    (tmp_path / "records" / "d.json").write_text(json.dumps(content))


def started_ticks(pid: int) -> int:
    found = stat(pid)
    assert found is not None
    return found.started_ticks


def test_a_program_name_with_spaces_and_parentheses_does_not_shift_the_fields() -> None:
    rest = ["S", *map(str, range(4, 53))]  # as many fields as proc(5) numbers; field n holds n
    found = parse_stat(f"42 (a) b (c)) {' '.join(rest)}\n")
    assert (found.state, found.started_ticks) == ("S", 22)
    assert found.resident_bytes == 24 * os.sysconf("SC_PAGE_SIZE")


def test_the_started_process_is_recognised(
    processes: Processes, tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    record(processes, tmp_path, pid=sleeper.pid, started_ticks=started_ticks(sleeper.pid))
    assert processes.running("d")


def test_a_process_that_got_the_pid_later_is_neither_recognised_nor_ended(
    processes: Processes, tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    record(processes, tmp_path, pid=sleeper.pid, started_ticks=started_ticks(sleeper.pid) - 1)
    assert not processes.running("d")
    processes.stop("d")
    assert sleeper.poll() is None


def test_a_record_of_an_earlier_boot_means_nothing(
    processes: Processes, tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    record(processes, tmp_path, pid=sleeper.pid, started_ticks=started_ticks(sleeper.pid), boot="before")
    assert not processes.running("d")


def test_a_dead_child_of_ours_is_collected_and_gone() -> None:
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", "input()"], {})
    os.kill(pid, 9)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # dead, yet still a zombie
    assert stat(pid) is None
    assert not Path(f"/proc/{pid}").exists()


NEGLECTFUL = """
import os
child = os.posix_spawn("/bin/true", ["true"], {})
os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
print(child, flush=True)
input()
"""


def test_a_dead_process_that_its_parent_has_not_collected_counts_as_gone() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", NEGLECTFUL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        zombie = int(parent.stdout.readline())
        assert Path(f"/proc/{zombie}").exists()
        assert stat(zombie) is None
        parent.communicate("\n")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}'])
def test_a_damaged_record_is_no_record(processes: Processes, tmp_path: Path, content: str) -> None:
    (tmp_path / "records" / "d.json").write_text(content)
    assert processes.record("d") is None
    assert not processes.running("d")


def test_stopping_ends_the_process_and_forgets_it(
    processes: Processes, tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    record(processes, tmp_path, pid=sleeper.pid, started_ticks=started_ticks(sleeper.pid))
    processes.stop("d")
    assert stat(sleeper.pid) is None
    assert processes.names() == []
    sleeper.poll()


def test_a_daemon_that_dies_while_starting_is_reported_with_its_last_words(
    processes: Processes, tmp_path: Path
) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "d.log").write_text("first\nfatal: no disk\n")
    daemon = Daemon("d", ["/bin/false"], ready=lambda: False)
    with pytest.raises(ClusterError, match=r"(?s)ended while it was starting.*fatal: no disk"):
        processes.wait_ready(daemon)


def test_a_daemon_that_never_gets_ready_is_reported_after_its_deadline(
    processes: Processes, tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    record(processes, tmp_path, pid=sleeper.pid, started_ticks=started_ticks(sleeper.pid))
    daemon = Daemon("d", ["/bin/true"], ready=lambda: False, deadline_s=0.05)
    with pytest.raises(ClusterError, match="in vain for d to become ready"):
        processes.wait_ready(daemon)


@pytest.mark.parametrize(
    ("arguments", "ours"),
    [
        (["/cache/bin/localkube", "etcd", "--data-dir=/cache/clusters/local/etcd"], True),
        (["/cache/bin/localkube", "apiserver", "--etcd-servers=http://127.0.0.1:9"], False),
        (["/usr/bin/tail", "-f", "/cache/clusters/local/logs/etcd.log"], False),
        (["/cache/bin/localkube", "etcd", "--data-dir=/cache/clusters/local-other/etcd"], False),
        ([], False),
    ],
)
def test_only_our_program_on_our_files_is_a_stray_of_ours(arguments: list[str], ours: bool) -> None:
    assert is_ours(arguments, ["/cache/bin/"], [Path("/cache/clusters/local")]) is ours


def test_a_daemon_enters_its_namespace_and_becomes_the_program() -> None:
    daemon = Daemon("d", ["/bin/p", "--a=b c"], lambda: True, namespace=Path("/run/n/mount-namespace"))
    assert daemon.command() == [
        shutil.which("nsenter"),
        "--mount=/run/n/mount-namespace",
        "--",
        "/bin/p",
        "--a=b c",
    ]
    assert Daemon("d", ["/bin/p"], lambda: True).command() == ["/bin/p"]


def test_a_process_inhabits_its_own_namespace_and_no_other(tmp_path: Path) -> None:
    assert inhabits(os.getpid(), Path("/proc/self/ns/mnt"))
    assert not inhabits(os.getpid(), tmp_path)
    assert not inhabits(os.getpid(), tmp_path / "none")


@pytest.mark.parametrize(
    ("home", "works"), [(None, True), ("/proc/self/ns/mnt", True), ("/proc/self/ns/net", False)]
)
def test_a_daemon_in_a_namespace_of_others_does_not_work(
    processes: Processes, tmp_path: Path, sleeper: subprocess.Popen[bytes], home: str | None, works: bool
) -> None:
    record(processes, tmp_path, pid=sleeper.pid, started_ticks=started_ticks(sleeper.pid))
    daemon = Daemon("d", ["/bin/p"], lambda: True, namespace=Path(home) if home else None)
    assert processes.works(daemon) is works
