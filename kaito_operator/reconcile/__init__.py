"""Layer 4, pure: Workspace and Observed to a Decision."""
