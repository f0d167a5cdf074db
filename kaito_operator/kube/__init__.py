"""Layer 5: the only code that talks to the API server."""
