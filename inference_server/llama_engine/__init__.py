"""The engine that runs GGUF models with llama.cpp on CPUs. Outside, import engine.py and files.py alone."""
