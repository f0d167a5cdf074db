"""The engine that runs a model with transformers on GPUs or a CPU. Outside, import engine.py alone."""
