"""The models that can be named in a Workspace, as data: one row each, with the source of its facts."""
