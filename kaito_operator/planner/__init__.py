"""Layer 2, pure: a Workspace and the catalog to a plan in bytes, GPUs and seconds, or to what is wrong."""
