"""docs/adapters.md names every flag, state and reason of the program that pulls adapters."""

import re
from pathlib import Path

from inference_server.adapter_sync import errors
from inference_server.adapter_sync.settings import make_parser
from inference_server.adapter_sync.state import PullState

_TEXT = (Path(__file__).parents[3] / "docs" / "adapters.md").read_text()
_SECTION = _TEXT.split("## How a live adapter is pulled", 1)[1].split("\n## ", 1)[0]


def test_every_flag_is_described_and_no_other() -> None:
    flags = {flag for action in make_parser()._actions for flag in action.option_strings} - {"-h", "--help"}
    assert set(re.findall(r"^\| `(--[a-z-]+)`", _SECTION, re.MULTILINE)) == flags


def test_every_state_and_reason_is_described() -> None:
    reasons = {kind.__name__ for kind in errors.PullError.__subclasses__()} | {"AdapterPulledBefore"}
    expected = reasons | {state.value for state in PullState}
    assert set(re.findall(r"`([A-Z][A-Za-z]+)`", _SECTION.split("| state |")[1])) >= expected
