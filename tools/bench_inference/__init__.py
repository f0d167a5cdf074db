"""How fast the inference server is, beside the servers that one might take instead."""
