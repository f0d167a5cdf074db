"""The program beside the server that brings adapters from registries to its disk while it runs."""
