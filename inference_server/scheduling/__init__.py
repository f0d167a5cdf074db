"""From requests to steps of the engine: queue, admission, rows, streams."""
