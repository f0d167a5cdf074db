import json
from pathlib import Path

import yaml

from tools.localcluster.audit import POLICY, end_of, parse, requests
from tools.localcluster.paths import Paths


def line(verb: str, **more: object) -> str:
    event = {
        "verb": verb,
        "user": {"username": "system:serviceaccount:kaito:operator"},
        "userAgent": "kaito-operator/1",
        "objectRef": {
            "resource": "workspaces",
            "subresource": "status",
            "namespace": "default",
            "name": "w",
        },
        "responseStatus": {"code": 200},
        "stageTimestamp": "2026-01-02T03:04:05.000006Z",
        **more,
    }
    return json.dumps(event) + "\n"


def test_a_request_is_read_with_who_what_and_how_it_ended() -> None:
    request = parse(line("patch"))
    assert (request.verb, request.resource, request.namespace, request.name) == (
        "patch",
        "workspaces/status",
        "default",
        "w",
    )
    assert (request.user, request.user_agent) == ("system:serviceaccount:kaito:operator", "kaito-operator/1")
    assert (request.status, request.is_write) == (200, True)


def test_a_request_for_no_object_is_read_too() -> None:
    request = parse(json.dumps({"verb": "get", "stageTimestamp": "t", "requestURI": "/version"}))
    assert (request.resource, request.is_write) == ("", False)


def test_only_what_came_after_the_mark_is_read(tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    log.write_text(line("get"))
    mark = end_of(log)
    with log.open("a") as growing:
        growing.write(line("create") + line("watch"))
    assert [request.verb for request in requests(log, mark)] == ["create", "watch"]


def test_a_half_written_line_waits_for_the_next_reading(tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    log.write_text(line("get") + line("patch")[:-5])
    assert [request.verb for request in requests(log)] == ["get"]


def test_a_log_that_does_not_exist_yet_has_its_end_at_zero(tmp_path: Path) -> None:
    assert end_of(tmp_path / "none") == 0


def test_every_request_is_logged_once_and_without_its_body() -> None:
    policy = yaml.safe_load(POLICY)
    assert policy["rules"] == [{"level": "Metadata"}]
    assert policy["omitStages"] == ["RequestReceived", "ResponseStarted"]


def test_the_audit_log_lies_with_the_other_logs() -> None:
    paths = Paths(Path("/cache"))
    assert paths.audit_log == Path("/cache/clusters/local/logs/audit.jsonl")
