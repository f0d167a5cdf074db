"""Build the project's images from the checkout and put them into a registry.

`python -m tools.images build` for people, `tools.images.build.build_all` for the demo and the tests.
"""
