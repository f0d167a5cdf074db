"""The names by which clients call the base model, the merge and each adapter."""

import pytest

from inference_server.engine import BASE
from inference_server.errors import NotFound
from inference_server.models import ModelName, Models


def named(merge: str = BASE, **adapters: str) -> Models:
    models = Models("shop", "phi-3")
    models.publish(merge, adapters)
    return models


RESOLVED = [
    (None, "merge@1"),
    ("shop", "merge@1"),
    ("phi-3", "merge@1"),
    ("shop:base", BASE),
    ("phi-3:base", BASE),
    ("tone", "tone@2"),
]


@pytest.mark.parametrize(("name", "revision"), RESOLVED)
def test_a_name_leads_to_a_revision(name: str | None, revision: str) -> None:
    assert named("merge@1", tone="tone@2").resolve(name).revision == revision


def test_without_adapters_every_name_is_the_base_model() -> None:
    models = named()
    assert {models.resolve(name).revision for name in (None, "shop", "phi-3", "shop:base")} == {BASE}
    assert [entry.name for entry in models.all()] == ["shop", "shop:base"]


def test_all_are_listed_in_order_and_each_adapter_names_its_parent() -> None:
    assert named("merge@1", zulu="z@1", alpha="a@1").all() == [
        ModelName("shop", "merge@1"),
        ModelName("shop:base", BASE),
        ModelName("zulu", "z@1", "shop:base"),
        ModelName("alpha", "a@1", "shop:base"),
    ]


def test_the_workspaces_own_names_win_over_an_adapter_of_the_same_name() -> None:
    models = named("merge@1", shop="s@1")
    assert models.resolve("shop").revision == "merge@1"
    assert [entry.name for entry in models.all()].count("shop") == 1


def test_an_adapter_named_like_the_preset_wins_over_the_second_name_of_the_merge() -> None:
    models = Models("shop", "phi-3")
    models.publish("merge@1", {"phi-3": "p@1"})
    assert models.resolve("phi-3").revision == "p@1"


@pytest.mark.parametrize(
    ("asked", "told"), [("tonee", "tone"), ("shop:bas", "shop:base"), ("x" * 10_000, "shop"), ("", "shop")]
)
def test_an_unknown_name_is_told_the_nearest_that_are_served(asked: str, told: str) -> None:
    with pytest.raises(NotFound, match=told) as refused:
        named("merge@1", tone="tone@2").resolve(asked)
    assert len(str(refused.value)) < 400


def test_publishing_again_takes_the_old_names_away() -> None:
    models = named("merge@1", old="o@1")
    models.publish(BASE, {"new": "n@1"})
    assert models.resolve(None).revision == BASE
    with pytest.raises(NotFound):
        models.resolve("old")


def test_the_default_is_the_workspaces_name() -> None:
    assert named().default == "shop"
