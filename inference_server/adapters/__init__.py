"""Adapters of a running server: what should be served, how far it is, and which names clients may give."""
