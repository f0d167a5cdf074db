"""The weights images of our own: the catalog must name the very image that this checkout builds."""

import pytest

from presets.catalog import PROJECT_REGISTRY, Preset, load_catalog
from tools.images.recipes import content_tag, load_recipes

OURS = [p for p in load_catalog().values() if p.weights.image.registry == PROJECT_REGISTRY]
RECIPES = {recipe.repository: recipe for recipe in load_recipes().values() if recipe.weights}


@pytest.mark.parametrize("preset", OURS, ids=lambda preset: preset.name)
def test_the_catalog_names_the_weights_image_that_is_built_here(preset: Preset) -> None:
    image = preset.weights.image
    assert image.repository in RECIPES
    # A weights image stands on no base, so its tag follows from the checkout alone.
    tag = content_tag(RECIPES[image.repository], base="")
    assert image.tag == tag, f"presets/models.yaml: write tag: {tag} in the row of {preset.name}"
