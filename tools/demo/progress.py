"""Watch a Workspace become ready, for a person: phase, time, what it waits for."""

import json
import queue
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from tools.kubectl import Kubectl

Status = dict[str, Any]


class NotReady(RuntimeError):  # noqa: N818 - a state rather than a fault
    """The Workspace did not become ready in time; the text says what it waited for."""


@dataclass
class Progress:
    """What was seen of one Workspace.

    Attributes:
        began: monotonic seconds when it was applied.
        seen: seconds after `began` at which each phase was first seen.
    """

    name: str
    began: float
    seen: dict[str, float] = field(default_factory=dict)
    status: Status = field(default_factory=dict)

    def take(self, workspace: dict[str, Any]) -> None:
        """Take in a newer state."""
        self.status = workspace.get("status", {})
        phase = self.status.get("phase")
        if phase and phase not in self.seen:
            self.seen[phase] = monotonic() - self.began

    @property
    def ready(self) -> bool:
        """True when WORKSPACEREADY is True."""
        return any(
            c["type"] == "WorkspaceReady" and c["status"] == "True" for c in self.status.get("conditions", ())
        )

    def blocked(self) -> str:
        """What it waits for, in a sentence."""
        on = self.status.get("blockedOn")
        if on is None:
            return "it answers" if self.ready else "the operator has not looked at it yet"
        return f"{on['reason']}: {on['message']} {on['nextAction']}"

    def view(self) -> Group:
        """The picture that is redrawn while waiting."""
        elapsed = monotonic() - self.began
        on = self.status.get("blockedOn") or {}
        head = Spinner("dots", Text(f" {self.name}  {self.status.get('phase', 'New')}  {elapsed:5.1f} s"))
        lines = [Text(f"   waits for: {on['message']}", style="yellow")] if on.get("message") else []
        if on.get("nextAction"):
            lines.append(Text(f"   to do:     {on['nextAction']}", style="dim"))
        return Group(head, *lines)


def wait_ready(kubectl: Kubectl, progress: Progress, console: Console, *, timeout_s: float) -> None:
    """Draw the progress until the Workspace is ready.

    On a terminal the picture is redrawn; elsewhere one line is printed for each phase.

    Raises:
        NotReady: after `timeout_s`.
    """
    told = ""
    with Live(progress.view(), console=console, refresh_per_second=8, transient=True) as live:
        for workspace in _states(kubectl, progress.name, deadline=progress.began + timeout_s):
            if workspace is not None:
                progress.take(workspace)
            live.update(progress.view())
            line = f"{progress.status.get('phase', 'New')}: {progress.blocked()}"
            if line != told and not console.is_terminal and progress.status:
                told = line
                console.print(f"  {monotonic() - progress.began:6.1f} s  {line}", highlight=False)
            if progress.ready:
                return
    msg = f"{progress.name} is not ready after {timeout_s:.0f} s. It waits for {progress.blocked()}"
    raise NotReady(msg)


def _states(kubectl: Kubectl, name: str, *, deadline: float) -> Iterator[dict[str, Any] | None]:
    """Each new state of the Workspace, and None several times a second so that the clock moves."""
    states: queue.Queue[dict[str, Any]] = queue.Queue()
    process = _watch(kubectl, name, states)
    try:
        while monotonic() < deadline:
            if process.poll() is not None:  # the API server ends a watch now and then
                process = _watch(kubectl, name, states)
            try:
                yield states.get(timeout=0.2)
            except queue.Empty:
                yield None
    finally:
        process.terminate()
        process.wait()


def _watch(kubectl: Kubectl, name: str, states: "queue.Queue[dict[str, Any]]") -> "subprocess.Popen[str]":
    process = kubectl.watch("workspace", name)
    threading.Thread(target=_read, args=(process.stdout, states), daemon=True).start()
    return process


def _read(stream: Any, states: "queue.Queue[dict[str, Any]]") -> None:  # noqa: ANN401 - a text stream
    decoder = json.JSONDecoder()
    buffer = ""
    for line in stream:
        buffer += line
        if not line.startswith("}"):
            continue
        state, end = decoder.raw_decode(buffer)
        buffer = buffer[end:].lstrip()
        states.put(state)


def timeline(progress: Progress, answered_s: float, *, goal: str) -> Table:
    """How long each phase took against what the plan expected, and when the first answer came."""
    table = Table(title=f"{progress.name}: from `kubectl apply` to the first answer", title_justify="left")
    for column in ("phase", "from", "took", "expected"):
        table.add_column(column, justify="left" if column == "phase" else "right")
    for entry in progress.status.get("timeline", ()):
        started = progress.seen.get(entry["phase"], 0.0)
        expected = f"{entry['expectedSeconds']} s" if "expectedSeconds" in entry else ""
        took = _took(entry) if "endedAt" in entry else ""
        table.add_row(entry["phase"], f"{started:.1f} s", took, expected)
    table.add_row("first answer", f"{answered_s:.1f} s", "", goal)
    return table


def _took(entry: dict[str, Any]) -> str:
    started, ended = (datetime.fromisoformat(entry[key]) for key in ("startedAt", "endedAt"))
    return f"{(ended - started).total_seconds():.0f} s"
