"""Daemons: started in sessions of their own, recorded, recognised again, stopped.

A record is trusted only while the process with its pid began at the recorded moment of the same
boot: a pid that the kernel gave to somebody else in the meantime is never signalled.
"""

import json
import os
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tools.localcluster import cgroups
from tools.localcluster.errors import ClusterError
from tools.localcluster.paths import private_folder, write_private
from tools.localcluster.waiting import wait_until

CLOCK_TICK_HZ = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Daemon:
    """A program to keep running.

    Attributes:
        name: unique in the cluster; names its record and its log.
        argv: absolute path of the program, then its arguments.
        ready: True once it does its work. Called often, so it must be cheap.
        deadline_s: how long it may take until ready on a slow machine.
        environment: added to the few variables every daemon gets.
        group: control group for it and its children.
        namespace: file that pins the mount namespace it lives in; None is this process's own.
    """

    name: str
    argv: Sequence[str]
    ready: Callable[[], bool]
    deadline_s: float = 60
    environment: Mapping[str, str] = field(default_factory=dict)
    group: Path = cgroups.DAEMONS
    namespace: Path | None = None

    def command(self) -> list[str]:
        """Give what is started: the program, or nsenter, which becomes the program."""
        nsenter = shutil.which("nsenter") or "/usr/bin/nsenter"
        enter = [nsenter, f"--mount={self.namespace}", "--"] if self.namespace else []
        return [*enter, *self.argv]


@dataclass(frozen=True)
class Record:
    """One started process: its pid, and its start in clock ticks since the boot with this id."""

    pid: int
    started_ticks: int
    boot: str
    program: str


@dataclass(frozen=True)
class Stat:
    """What the kernel says about a process: state letter, start in ticks since boot, memory in bytes."""

    state: str
    started_ticks: int
    resident_bytes: int


def parse_stat(text: str) -> Stat:
    """Read /proc/PID/stat. The program's name, in parentheses, may itself hold spaces and parentheses."""
    fields = text.rpartition(")")[2].split()
    # proc(5) counts from 1 with the state as field 3: starttime is 22, rss (in pages) 24.
    return Stat(fields[0], int(fields[19]), int(fields[21]) * PAGE_BYTES)


def boot_id() -> str:
    """Identify this boot of the machine; pids and start times mean nothing in another one."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def stat(pid: int) -> Stat | None:
    """Look at a process; None when there is none (or only a corpse that nobody has collected yet)."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # collects it where we are its parent
    try:
        found = parse_stat(Path(f"/proc/{pid}/stat").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if found.state in "ZX" else found


def inhabits(pid: int, namespace: Path) -> bool:
    """Say whether a process is in the namespace that a file pins; False when there is no such process."""
    try:
        return Path(f"/proc/{pid}/ns/mnt").stat().st_ino == namespace.stat().st_ino
    except OSError:
        return False


class Processes:
    """The daemons of the cluster.

    Args:
        records: folder for their records.
        logs: folder for their output.
    """

    def __init__(self, records: Path, logs: Path) -> None:
        self._records = records
        self._logs = logs

    def names(self) -> list[str]:
        """Name every daemon that was started and not stopped, alive or not."""
        return sorted(path.stem for path in self._records.glob("*.json"))

    def log(self, name: str) -> Path:
        """Give the file with a daemon's output."""
        return self._logs / f"{name}.log"

    def record(self, name: str) -> Record | None:
        """Read a daemon's record; None without one or with a damaged one."""
        try:
            return Record(**json.loads((self._records / f"{name}.json").read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def look(self, name: str) -> tuple[Record, Stat] | None:
        """Find the live process of a daemon; None when it is not running."""
        record = self.record(name)
        if record is None or record.boot != boot_id():
            return None
        found = stat(record.pid)
        if found is None or found.started_ticks != record.started_ticks:
            return None
        return record, found

    def running(self, name: str) -> bool:
        """Say whether the very process that was started is still there."""
        return self.look(name) is not None

    def works(self, daemon: Daemon) -> bool:
        """Say whether a daemon runs, in the mount namespace that is its own, and is ready."""
        found = self.look(daemon.name)
        at_home = found and (not daemon.namespace or inhabits(found[0].pid, daemon.namespace))
        return bool(at_home) and daemon.ready()

    def start(self, daemon: Daemon) -> None:
        """Start a daemon without waiting for it; its earlier output moves to NAME.previous.log."""
        private_folder(self._logs)
        log = self.log(daemon.name)
        if log.exists():
            log.replace(log.with_name(f"{daemon.name}.previous.log"))
        cgroups.create(daemon.group)
        pid = _spawn(daemon, log)
        cgroups.move(pid, daemon.group)
        found = stat(pid)
        if found is None:
            raise ClusterError(f"{daemon.name} ended at once. {self.last_words(daemon.name)}")
        record = Record(pid, found.started_ticks, boot_id(), daemon.argv[0])
        write_private(self._records / f"{daemon.name}.json", json.dumps(asdict(record)))

    def ensure(self, daemon: Daemon) -> bool:
        """Start a daemon unless it runs and is ready; True when it was started.

        One that runs without being ready is stopped first: it hangs, or belongs to a start that was
        interrupted and will be waited for again.
        """
        if self.works(daemon):
            return False
        self.stop(daemon.name)
        self.start(daemon)
        return True

    def wait_ready(self, daemon: Daemon) -> None:
        """Wait until a daemon is ready; ClusterError with its last words when it ends or takes too long."""

        def ready_or_dead() -> bool:
            return daemon.ready() or not self.running(daemon.name)

        try:
            wait_until(ready_or_dead, daemon.deadline_s, f"{daemon.name} to become ready")
        except ClusterError as error:
            raise ClusterError(f"{error} {self.last_words(daemon.name)}") from None
        if not self.running(daemon.name):
            raise ClusterError(f"{daemon.name} ended while it was starting. {self.last_words(daemon.name)}")

    def stop(self, name: str, grace_s: float = 10) -> None:
        """Ask a daemon to end, kill it when it has not within the grace, and forget it."""
        found = self.look(name)
        if found:
            self._end(name, found[0].pid, grace_s)
        (self._records / f"{name}.json").unlink(missing_ok=True)

    def _end(self, name: str, pid: int, grace_s: float) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
            os.kill(pid, signal.SIGCONT)  # a suspended one could not hear the first
        try:
            wait_until(lambda: not self.running(name), grace_s, f"{name} to end")
        except ClusterError:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not self.running(name), grace_s, f"{name} to be killed")

    def last_words(self, name: str, lines: int = 8) -> str:
        """Quote the end of a daemon's log, with its path."""
        log = self.log(name)
        tail = log.read_text(errors="replace").splitlines()[-lines:] if log.exists() else []
        return "\n  ".join([f"The end of {log}:", *(line[:400] for line in tail)])


def is_ours(arguments: Sequence[str], programs: Sequence[str], folders: Sequence[Path]) -> bool:
    """Recognise a process of the cluster by its command line.

    Args:
        arguments: the process's own, the program first.
        programs: folders of our programs, or programs of the machine that we start.
        folders: of the cluster; an argument must name something in them, since other people may run
            the same programs.
    """
    if not arguments or not arguments[0].startswith(tuple(programs)):
        return False
    return any(f"{folder}/" in argument for argument in arguments[1:] for folder in folders)


def strays(programs: Sequence[str], folders: Sequence[Path]) -> list[int]:
    """Find processes of the cluster that have no record.

    There is one when a start was killed between the birth of a daemon and the note about it.
    """
    found: list[int] = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it may end while we look
            arguments = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if is_ours(arguments, programs, folders):
                found.append(int(process.name))
    return found


def _spawn(daemon: Daemon, log: Path) -> int:
    """Start a program in a session of its own and give its pid.

    subprocess.Popen would tie the daemon to an object that complains when it is dropped;
    posix_spawn hands over just the process.
    """
    command = daemon.command()
    environment = {
        "PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin",
        "HOME": "/root",
        "TMPDIR": "/tmp",  # noqa: S108 - the daemons choose unguessable names below it
        **daemon.environment,
    }
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawn(
        command[0],
        command,
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), append, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],  # Python ignores them; a daemon must not inherit that
    )
