"""The list of adapters, the two files between the programs, and names of images."""

import json

import pytest

from inference_server.adapter_sync.desired import DesiredInvalid, parse_desired
from inference_server.adapter_sync.errors import AdapterImageBad
from inference_server.adapter_sync.reference import parse_reference
from inference_server.adapter_sync.state import (
    InUse,
    LiveAdapter,
    LiveState,
    PullState,
    StateInvalid,
    parse_in_use,
    parse_state,
)

DIGEST = f"sha256:{'a' * 64}"


def _list(**changes: object) -> str:
    return json.dumps({"adapters": [{"name": "one", "image": "x/y:1", "strength": 1, **changes}]})


def test_a_state_is_read_as_it_was_written() -> None:
    adapter = LiveAdapter("one", "x/y:1", 0.5, DIGEST, "/a/one@aaa", PullState.PULLED, "Reason", "text")
    state = LiveState("abc", "svd", (adapter, LiveAdapter("two", "x/z:1", 1.0)), "broken")
    assert parse_state(state.render()) == state


def test_the_paths_in_use_are_read_as_they_were_written() -> None:
    used = InUse(frozenset({"/a", "/b"}))
    assert parse_in_use(used.render()) == used


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", '{"generation": "", "adapters": [1]}', '{"adapters": []}', "[" * 100_000,
        '{"generation": "", "adapters": [{"name": "a", "strength": 1, "state": "Lost"}]}',
        '{"generation": "", "adapters": [{"name": "a", "strength": NaN, "state": "Pulled"}]}',
        '{"generation": "", "adapters": [{"name": 1, "strength": 1, "state": "Pulled"}]}',
    ],
)  # fmt: skip
def test_a_broken_state_is_refused(text: str) -> None:
    with pytest.raises(StateInvalid):
        parse_state(text)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"paths": "x"}', '{"paths": [1]}'])
def test_broken_paths_in_use_are_refused(text: str) -> None:
    with pytest.raises(StateInvalid):
        parse_in_use(text)


def test_a_list_is_read_with_its_defaults() -> None:
    desired = parse_desired(_list(strength="0.25", later="unknown"))
    assert desired.combination == "cat"
    adapter = desired.adapters[0]
    assert (adapter.name, adapter.image, adapter.strength, adapter.in_pod) == ("one", "x/y:1", 0.25, False)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "../x"}, {"name": "A"}, {"name": ""}, {"name": None}, {"name": "a/b"}, {"name": "a" * 254},
        {"name": ".a"}, {"name": "a@b"}, {"image": 3}, {"inPod": "yes"}, {"strength": True},
        {"strength": "much"}, {"strength": float("nan")}, {"strength": float("inf")}, {"strength": []},
        {"strength": 10**400},
    ],
)  # fmt: skip
def test_one_bad_adapter_refuses_the_list(changes: dict[str, object]) -> None:
    with pytest.raises(DesiredInvalid):
        parse_desired(_list(**changes))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"adapters": {}}', '{"adapters": [], "combination": 1}'])
def test_what_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(DesiredInvalid):
        parse_desired(text)


def test_two_adapters_of_one_name_refuse_the_list() -> None:
    item = {"name": "one", "image": "x"}
    with pytest.raises(DesiredInvalid, match="same name"):
        parse_desired(json.dumps({"adapters": [item, item]}))


@pytest.mark.parametrize(
    ("image", "host", "repository", "version"),
    [
        ("busybox", "docker.io", "library/busybox", "latest"),
        ("team/one:v1", "docker.io", "team/one", "v1"),
        ("index.docker.io/team/one", "docker.io", "team/one", "latest"),
        ("localhost/one:v1", "localhost", "one", "v1"),
        ("localhost:5000/a/b:v1", "localhost:5000", "a/b", "v1"),
        (f"r.example/a/b@{DIGEST}", "r.example", "a/b", DIGEST),
        (f"r.example/a/b:v1@{DIGEST}", "r.example", "a/b", DIGEST),
    ],
)
def test_an_image_is_taken_apart(image: str, host: str, repository: str, version: str) -> None:
    found = parse_reference(image)
    assert (found.host, found.repository, found.version) == (host, repository, version)


@pytest.mark.parametrize(
    "image",
    [
        "", "http://r.example/a", "r.example/A:v1", "r.example/a:", "r.example/a@", "r.example/a b",
        "r.example/a@sha256:12", "r.example/../a", "r.example/a?x=1", "me@r.example/a:v1",
        "r.example/a:v1\n",
    ],
)  # fmt: skip
def test_what_names_no_image_is_refused(image: str) -> None:
    with pytest.raises(AdapterImageBad, match="REGISTRY/REPOSITORY:TAG"):
        parse_reference(image)
