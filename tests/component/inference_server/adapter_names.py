"""The names of adapter_kinds, for tests that must not import torch."""

KIND_NAMES = ("plain", "rslora", "patterns", "elsewhere", "dora", "biased", "embedding", "saved")
BROKEN_NAMES = (
    "nan",
    "wrong key",
    "wrong ending",
    "wrong shape",
    "wrong rank",
    "no b",
    "whole numbers",
    "base weights",
    "no tensors",
)
