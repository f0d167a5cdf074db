"""`make demo`: from nothing to a model's answer on this machine."""
