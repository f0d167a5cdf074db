"""Which revision each name means."""

from hypothesis import given
from hypothesis import strategies as st

from inference_server.adapters.naming import Recipe, Serving, publish
from inference_server.engine import BASE


def one(name: str, strength: float = 1.0, whole: str = "") -> Serving:
    return Serving(name, f"{name}@1", strength, whole)


def test_without_adapters_the_merge_is_the_base() -> None:
    assert publish([], "cat").merge == BASE


def test_one_adapter_at_strength_1_is_the_merge_itself() -> None:
    made = publish([one("a")], "svd")
    assert (made.merge, dict(made.names), dict(made.recipes)) == ("a@1", {"a": "a@1"}, {})


def test_a_name_means_the_adapter_times_its_strength() -> None:
    made = publish([one("a", 0.5), one("b")], "cat")
    assert made.names["b"] == "b@1"
    assert made.recipes[made.names["a"]] == Recipe({"a@1": 0.5}, "cat")
    assert made.recipes[made.merge] == Recipe({"a@1": 0.5, "b@1": 1.0}, "cat")


def test_strength_0_is_left_out_of_the_sum_and_is_the_base_by_name() -> None:
    made = publish([one("a", 0.0), one("b", 0.5)], "cat")
    assert made.names["a"] == BASE
    assert made.recipes[made.merge].parts == {"b@1": 0.5}
    assert publish([one("a", 0.0)], "cat").merge == BASE


def test_the_merge_of_one_adapter_is_what_its_name_means() -> None:
    made = publish([one("a", 0.5)], "ties")
    assert made.merge == made.names["a"]
    assert made.recipes[made.merge].how == "cat"


def test_what_cannot_be_summed_answers_for_all_when_it_is_alone_at_strength_1() -> None:
    made = publish([one("d", whole="DoRA")], "cat")
    assert (made.merge, dict(made.apart)) == ("d@1", {})
    beside_nothing = publish([one("d", whole="DoRA"), one("a", 0.0)], "cat")
    assert beside_nothing.merge == "d@1"


def test_what_cannot_be_summed_is_served_by_name_only_beside_others_or_scaled() -> None:
    made = publish([one("d", whole="DoRA"), one("a")], "cat")
    assert (made.merge, made.names["d"]) == ("a@1", "d@1")
    assert "DoRA" in made.apart["d"]
    scaled = publish([one("d", 0.5, whole="DoRA")], "cat")
    assert (scaled.merge, scaled.names["d"], list(scaled.apart)) == (BASE, "d@1", ["d"])


def test_another_strength_or_way_is_another_revision_and_the_order_is_none() -> None:
    a, b = one("a", 0.5), one("b")
    assert publish([a, b], "cat").merge == publish([b, a], "cat").merge
    assert publish([a, b], "cat").merge != publish([a, b], "svd").merge
    assert publish([a, b], "cat").merge != publish([one("a", 0.6), b], "cat").merge


@given(
    st.lists(
        st.tuples(st.sampled_from("abcdef"), st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from(["", "DoRA"])),
        unique_by=lambda entry: entry[0],
    )
)
def test_every_name_means_the_base_a_loaded_adapter_or_a_recipe_of_loaded_ones(
    listed: list[tuple[str, float, str]],
) -> None:
    serving = [one(*entry) for entry in listed]
    made = publish(serving, "cat")
    loaded = {adapter.revision for adapter in serving}
    whole = {adapter.revision for adapter in serving if adapter.whole}
    for revision in (made.merge, *made.names.values()):
        assert revision == BASE or revision in loaded or revision in made.recipes
    for recipe in made.recipes.values():
        assert set(recipe.parts) <= loaded - whole
        assert 0 not in recipe.parts.values()
    assert made.revisions() <= loaded | set(made.recipes)
