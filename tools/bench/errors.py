"""The error of this package."""


class BenchError(RuntimeError):
    """The benchmark cannot go on; the text says why and what to do."""
