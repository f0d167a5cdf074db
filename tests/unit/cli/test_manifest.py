"""From a manifest's text to a Workspace: which document is taken, and what is said of one that cannot be."""

import json
from pathlib import Path

import pytest

from kaito_operator.cli.manifest import BadInputError, parse_workspace, read_workspace

WORKSPACE = """
apiVersion: kaito.sh/v1alpha1
kind: Workspace
metadata: {name: first}
inference: {preset: {name: phi-2}}
"""


def refused(text: str) -> str:
    with pytest.raises(BadInputError) as caught:
        parse_workspace(text)
    return str(caught.value)


def test_the_first_workspace_of_several_documents_is_taken() -> None:
    text = f"kind: ConfigMap\n---\n---\n{WORKSPACE}\n---\n{WORKSPACE.replace('first', 'second')}"
    assert parse_workspace(text).metadata.name == "first"


def test_what_comes_after_the_workspace_is_not_read() -> None:
    assert parse_workspace(f"{WORKSPACE}\n---\na: [").metadata.name == "first"


def test_json_is_read_as_well() -> None:
    body = {"apiVersion": "kaito.sh/v1alpha1", "kind": "Workspace", "metadata": {"name": "j"}}
    assert parse_workspace(json.dumps(body)).metadata.name == "j"


def test_a_status_is_not_read() -> None:
    assert parse_workspace(f"{WORKSPACE}\nstatus: {{conditions: 1, new: x}}\n").status is None


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "there is no Workspace in this input; it is empty"),
        ("kind: Pod\n---\n- 1\n", "it holds: Pod, no object"),
        ("a: [", "this is not YAML: while parsing"),
        ("a: \x01", "this is not YAML: "),
        (
            WORKSPACE.replace("v1alpha1", "v1"),
            "apiVersion: 'kaito.sh/v1' is not served; write kaito.sh/v1alpha1",
        ),
        ("kind: Workspace", "apiVersion: None is not served"),
        ("apiVersion: kaito.sh/v1alpha1\nkind: Workspace", "metadata: is missing"),
        (WORKSPACE.replace("phi-2", "[phi-2]"), "inference.preset.name: a list is not a text"),
        (
            WORKSPACE.replace("{name: first}", "{name: [first]}"),
            "metadata.name: Input should be a valid string",
        ),
    ],
)
def test_what_is_no_workspace_is_told_with_its_cause(text: str, cause: str) -> None:
    assert cause in refused(text)


def test_a_file_that_is_not_there_is_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"nothing\.yaml cannot be read: No such file"):
        read_workspace(str(tmp_path / "nothing.yaml"))


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInputError, match="no text in UTF-8"):
        read_workspace(str(tmp_path / "binary"))
