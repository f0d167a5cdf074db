"""Layer 3, pure: Workspace and Plan to the objects that are to exist."""
